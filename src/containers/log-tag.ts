import { NaruError } from "../base/mod.ts";

/** What a tag may name, as Docker's `--log-opt tag` does. */
export interface TagFacts {
  readonly id: string;
  /** Without slash. */
  readonly name: string;
  readonly imageId: string;
  readonly imageName: string;
  readonly command: string;
  readonly hostname: string;
}

const SHORT_LENGTH = 12;

const FIELDS: Readonly<Record<string, (facts: TagFacts) => string>> = {
  ID: ({ id }) => id.slice(0, SHORT_LENGTH),
  FullID: ({ id }) => id,
  Name: ({ name }) => name,
  ImageID: ({ imageId }) => imageId.slice(0, SHORT_LENGTH),
  ImageFullID: ({ imageId }) => imageId,
  ImageName: ({ imageName }) => imageName,
  Command: ({ command }) => command,
  Hostname: ({ hostname }) => hostname,
  DaemonName: () => "docker", // Docker's own word: what clients' tags show must not change
};

/** `{{.Name}}/{{.ID}}` filled in. Throws invalid_argument naming what is no field. */
export function formatTag(template: string, facts: TagFacts): string {
  return template.replaceAll(/\{\{-?\s*(.*?)\s*-?\}\}/g, (_, expression: string) => {
    const field = expression.startsWith(".") ? FIELDS[expression.slice(1)] : undefined;
    if (field !== undefined) return field(facts);
    throw new NaruError(
      "invalid_argument",
      `invalid log tag: {{${expression}}} is none of ${Object.keys(FIELDS)
        .map((name) => `{{.${name}}}`)
        .join(", ")}`,
      { field: "LogConfig" },
    );
  });
}
