/** One way in which naru answers otherwise than dockerd 20.10, on purpose. @see intended.ts */
export interface Intended {
  readonly why: string;
  /** All cases when absent. */
  readonly case?: RegExp;
  /** All steps when absent. */
  readonly step?: RegExp;
  /** Path in the answer, `json.State.Pid`, `headers.Server`, `lines.0.id`. */
  readonly path: RegExp;
  /** What dockerd said there (as JSON text; absent values are the text "absent"). */
  readonly docker?: RegExp;
  /** What naru must say there, in the same form. */
  readonly naru?: RegExp;
  /** Depends on the host: it need not be seen. */
  readonly onSomeHosts?: true;
}
