/** What the operator laid down for repositories, besides who may do what. */
export interface Rules {
  /** Infinity where there is none. */
  quotaBytes(repository: string): number;
  isImmutable(repository: string, tag: string): boolean;
}

export const noRules: Rules = {
  quotaBytes: () => Number.POSITIVE_INFINITY,
  isImmutable: () => false,
};
