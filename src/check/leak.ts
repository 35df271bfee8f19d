/** Something that is there and belongs to nothing that the engine knows. */
export interface Leak {
  readonly kind:
    | "mount"
    | "namespace"
    | "link"
    | "rule"
    | "cgroup"
    | "process"
    | "descriptor"
    | "file"
    | "address"
    | "work";
  /** Its name in the kernel or its path. */
  readonly subject: string;
  readonly reason: string;
}

/** Where one engine lives. */
export interface EnginePlaces {
  readonly dataRoot: string;
  readonly execRoot: string;
}
