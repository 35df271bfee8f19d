/**
 * Address of a Worker's file for `new Worker`. `path` is below `src`: `linux/netns.worker.ts`. In
 * the built binary every bundled module has an address in the root folder, so one relative to the
 * module that starts the Worker would be wrong there.
 */
export function workerUrl(path: string): URL {
  const inBinary = import.meta.url.startsWith("file:///$bunfs/");
  return new URL(inBinary ? `./${path}` : `../${path}`, import.meta.url);
}
