/** Ends the command with an exit code of its own; an empty message says nothing. */
export class ExitError extends Error {
  override readonly name: string = "ExitError";
  readonly exitCode: number;

  constructor(exitCode: number, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
