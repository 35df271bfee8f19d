import { expect, test } from "bun:test";
import { attributePrefix, chosenAttributes } from "./log-attributes.ts";
import { LOG_DRIVERS, planLog } from "./log-config.ts";
import { formatTag } from "./log-tag.ts";

const plan = (Type: string, Config: Record<string, string> = {}) => planLog({ Type, Config });
const targetOf = (type: string, options: Record<string, string> = {}) =>
  plan(type, options).shipping?.target;

test("unknown drivers, options and values are refused in Docker's words", () => {
  const cases: readonly [string, Record<string, string>, string][] = [
    ["splunk", {}, "logger: no log driver named 'splunk' is registered"],
    ["toString", {}, "logger: no log driver named 'toString' is registered"],
    [
      "json-file",
      { "syslog-format": "" },
      "unknown log opt 'syslog-format' for json-file log driver",
    ],
    ["local", { labels: "a" }, "unknown log opt 'labels' for local log driver"],
    ["syslog", { "max-size": "1m" }, "unknown log opt 'max-size' for syslog log driver"],
    ["gelf", { opaque: "" }, 'unknown log opt "opaque" for gelf log driver'],
    ["local", { mode: "fast" }, "logger: logging mode not supported: fast"],
    [
      "local",
      { "max-buffer-size": "1m" },
      "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
    ],
    ["syslog", { "syslog-facility": "x" }, "invalid syslog facility"],
    ["syslog", { "syslog-format": "x" }, "Invalid syslog format"],
    [
      "syslog",
      { "syslog-address": "x" },
      "syslog-address should be in form proto://address, got x",
    ],
    ["gelf", {}, "gelf-address is a required parameter"],
    ["gelf", { "gelf-address": "x" }, "gelf: please provide gelf-address as proto://host:port"],
    [
      "gelf",
      { "gelf-address": "udp://h:1", "gelf-compression-level": "10" },
      'unknown value "10" for log opt "gelf-compression-level" for gelf log driver',
    ],
    [
      "gelf",
      { "gelf-address": "udp://h:1", "gelf-tcp-max-reconnect": "3" },
      '"gelf-tcp-max-reconnect" is only valid for TCP',
    ],
    [
      "gelf",
      { "gelf-address": "tcp://h:1", "gelf-compression-type": "none" },
      "compression is only supported on UDP",
    ],
    [
      "gelf",
      { "gelf-address": "tcp://h:1", "gelf-tcp-max-reconnect": "-1" },
      '"gelf-tcp-max-reconnect" must be a positive integer',
    ],
    ["fluentd", { "fluentd-address": "udp://h" }, "unsupported scheme: 'udp'"],
    ["fluentd", { "fluentd-retry-wait": "x" }, "invalid fluentd-retry-wait: 'x'"],
    ["journald", { tag: "{{.Nothing}}" }, "invalid log tag: {{.Nothing}}"],
    ["json-file", { "env-regex": "(" }, "error parsing regexp: ("],
  ];
  for (const [type, options, message] of cases) {
    expect(() => plan(type, options)).toThrow(message);
  }
});

test("addresses, with Docker's defaults", () => {
  expect(targetOf("syslog")).toMatchObject({
    address: { transport: "unixgram", path: "/dev/log" },
    ...{ facility: 3, format: "local" },
  });
  const syslog = (address: string) => targetOf("syslog", { "syslog-address": address });
  expect(syslog("udp://1.2.3.4")).toMatchObject({
    address: { transport: "udp", host: "1.2.3.4", port: 514 },
  });
  expect(syslog("tcp+tls://[::1]:6514")).toMatchObject({
    address: { transport: "tls", host: "::1", port: 6514 },
  });
  expect(syslog("unix:///x/y")).toMatchObject({ address: { transport: "unix", path: "/x/y" } });
  expect(targetOf("syslog", { "syslog-facility": "local7" })).toMatchObject({ facility: 23 });
  expect(targetOf("fluentd")).toMatchObject({
    address: { transport: "tcp", host: "127.0.0.1", port: 24224 },
  });
  const fluentd = (address: string) => targetOf("fluentd", { "fluentd-address": address });
  expect(fluentd("h:99")).toMatchObject({ address: { transport: "tcp", host: "h", port: 99 } });
  expect(fluentd("unix:///s")).toMatchObject({ address: { transport: "unix", path: "/s" } });
  expect(targetOf("gelf", { "gelf-address": "udp://h:12201" })).toMatchObject({
    ...{ compression: "gzip", level: 1, address: { transport: "udp", host: "h", port: 12_201 } },
  });
  expect(targetOf("journald")).toEqual({ kind: "journald", path: "/run/systemd/journal/socket" });
});

test("mode and cache: what is kept, who waits, who may read", () => {
  expect(plan("syslog").shipping).toMatchObject({ blocking: true, triesMax: null });
  const lossy = plan("syslog", { mode: "non-blocking", "max-buffer-size": "4m" });
  expect(lossy.shipping).toMatchObject({ blocking: false, bufferBytesMax: 4 << 20 });
  expect(plan("syslog", { "cache-max-size": "1m", "cache-max-file": "2" }).limits).toEqual({
    ...{ segmentBytesMax: 1 << 20, segmentsMax: 2, compress: true },
  });
  expect(plan("syslog").readable).toBe(true);
  expect(plan("syslog", { "cache-disabled": "true" }).readable).toBe(false);
  expect(plan("journald", { "cache-disabled": "true" }).readable).toBe(true);
  expect(plan("fluentd", { "fluentd-max-retries": "3" }).shipping?.triesMax).toBe(3);
  expect(plan("local", { mode: "non-blocking" }).shipping).toBeUndefined();
  expect(LOG_DRIVERS).toEqual([
    ...["fluentd", "gelf", "journald", "json-file", "local", "none", "syslog"],
  ]);
});

test("tags", () => {
  const facts = {
    ...{ id: "0123456789abcdef", name: "web", imageId: "sha256:0123456", imageName: "bb" },
    ...{ command: "sh", hostname: "h" },
  };
  expect(formatTag("{{.Name}}/{{ .ID }}-x", facts)).toBe("web/0123456789ab-x");
  expect(formatTag("{{.FullID}} {{.ImageName}} {{.DaemonName}}", facts)).toBe(
    "0123456789abcdef bb docker",
  );
  expect(plan("syslog").tagTemplate).toBe("{{.ID}}");
  expect(plan("json-file").tagTemplate).toBe("");
});

test("labels and environment by name and by expression; the prefix of --details", () => {
  const labels = { "com.a": "1", "com.b": "2", other: "3" };
  const env = ["PATH=/bin", "OS_NAME=x y", "EMPTY"];
  const options = { labels: "other", "labels-regex": "^com\\.a", "env-regex": "(?i)^os_" };
  const chosen = chosenAttributes(options, labels, env);
  expect(chosen).toEqual({ "com.a": "1", other: "3", OS_NAME: "x y" });
  expect(attributePrefix(chosen)).toBe("OS_NAME=x+y,com.a=1,other=3 ");
  expect(attributePrefix({ "k!": "(é)~*" })).toBe("k%21=%28%C3%A9%29~%2A ");
  expect(attributePrefix({})).toBe("");
});
