/** Which tags and manifests go by themselves. What no field speaks of stays. */
export interface Retention {
  /** The newest tags so many stay, whatever their age. */
  readonly keepLast: number | undefined;
  /** Tags pushed within so many days stay. */
  readonly keepDays: number | undefined;
  /** Tags that match stay. */
  readonly keepTags: readonly RegExp[];
  /** Manifests that no tag, index or referrer holds go after so many days. */
  readonly untaggedDays: number | undefined;
}

/** What the operator laid down for repositories, besides who may do what. */
export interface Rules {
  /** Infinity where there is none. */
  quotaBytes(repository: string): number;
  isImmutable(repository: string, tag: string): boolean;
  retention(repository: string): Retention | undefined;
}

export const noRules: Rules = {
  quotaBytes: () => Number.POSITIVE_INFINITY,
  isImmutable: () => false,
  retention: () => undefined,
};
