/** How an option's value is written. */
export type OptionType =
  | "string"
  | "boolean"
  | "integer"
  | "list" // several flags, or a list of strings in the file
  | "map" // `key=value` flags, or an object of strings in the file
  | "runtimes" // `name=path` flags, or `{name: {path, runtimeArgs}}`
  | "ulimits" // `name=soft[:hard]` flags, or `{name: {Name, Soft, Hard}}`
  | "mirrors" // `host=url` flags, or `{host: [url, …]}` in the file
  | "pools" // `base=subnet,size=bits` flags, or `[{base, size}]`
  | "network-options" // `driver=option=value` flags, or `{driver: {option: value}}`
  | "proxies" // file only: `{http-proxy, https-proxy, no-proxy}`
  | "object"; // file only

/**
 * One option of the daemon: a key of `daemon.json` and a flag, with dockerd's names where they mean
 * the same. An option without `refuse` is honoured.
 */
export interface DaemonOption {
  /** Key in daemon.json; "" for what only a flag can say. */
  readonly key: string;
  /** Flag without dashes; "" for what only the file can say. */
  readonly flag: string;
  readonly short?: string;
  readonly type: OptionType;
  readonly help: string;
  /** Takes effect on SIGHUP. */
  readonly reloadable?: boolean;
  /**
   * Set when this version of naru cannot do what the option asks: the reason. Values that ask for
   * nothing (`quiet`, and always false, 0, "", [] and {}) pass.
   */
  readonly refuse?: string;
  readonly quiet?: readonly unknown[];
}
