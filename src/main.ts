/**
 * Chooses the mode and nothing else. Every mode is imported when it is chosen: the CLI must not pay
 * for the engine.
 */
import { basename } from "node:path";

const program: string = basename(process.argv0);
const args: readonly string[] = process.argv.slice(2);

async function main(): Promise<number> {
  if (program === "dockerd") {
    const { runDaemon } = await import("./daemon/mod.ts");
    return await runDaemon(args, { program: "dockerd" });
  }
  if (args[0] === "daemon") {
    const { runDaemon } = await import("./daemon/mod.ts");
    return await runDaemon(args.slice(1), { program: `${program} daemon` });
  }
  if (args[0] === "netd") {
    const { runNetd } = await import("./network/mod.ts");
    return await runNetd(args.slice(1));
  }
  if (args[0] === "system" && args[1] === "check") {
    const { runCheck } = await import("./check/mod.ts");
    return await runCheck(args.slice(2));
  }
  if (args[0] === "registry") {
    const { runRegistry } = await import("./registry-server/mod.ts");
    return await runRegistry(args.slice(1), { program: `${program} registry` });
  }
  const { runCli } = await import("./cli/mod.ts");
  return await runCli(args, { program: program === "docker" ? "docker" : "naru" });
}

process.exitCode = await main();
