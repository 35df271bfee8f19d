import { NaruError } from "../../base/mod.ts";

/** The template that a person gave cannot be parsed, or does not fit the data. */
export class TemplateError extends NaruError {
  constructor(message: string) {
    super("invalid_argument", `template parsing error: template: :1: ${message}`);
  }
}
