/** What happened to a repository, for the audit log, webhooks and metrics. */
export interface RegistryEvent {
  readonly action: "pull" | "push" | "mount" | "delete";
  readonly target: "blob" | "manifest" | "tag";
  readonly repository: string;
  readonly digest: string;
  /** "" where the target has none. */
  readonly tag: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** "" for nobody in particular. */
  readonly user: string;
}

export interface RegistryEvents {
  /** Never throws and never waits. */
  emit(event: RegistryEvent): void;
}
