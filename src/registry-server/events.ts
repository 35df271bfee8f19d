/** What happened to a repository, for the audit log, webhooks and metrics. */
export interface RegistryEvent {
  /** `refuse`: somebody who had credentials was turned away. */
  readonly action: "pull" | "push" | "mount" | "delete" | "refuse";
  readonly target: "blob" | "manifest" | "tag";
  readonly repository: string;
  /** "" where it is not known. */
  readonly digest: string;
  /** "" where the target has none. */
  readonly tag: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** "" for nobody in particular. */
  readonly user: string;
  /** Of the client's end of the connection. */
  readonly address: string;
}

export interface RegistryEvents {
  /** Never throws and never waits. */
  emit(event: RegistryEvent): void;
}

export function eventsTo(listeners: readonly RegistryEvents[]): RegistryEvents {
  return {
    emit: (event) => {
      for (const listener of listeners) listener.emit(event);
    },
  };
}
