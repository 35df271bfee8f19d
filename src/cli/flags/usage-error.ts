/** The command line itself is wrong: the message is followed by how the command is used. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
  /** docker answers 125 for a wrong flag and 1 for a wrong number of arguments. */
  readonly exitCode: number;

  constructor(message: string, exitCode = 125) {
    super(message);
    this.exitCode = exitCode;
  }
}
