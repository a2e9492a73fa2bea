/**
 * A user's program as engine and workers know it. `load` imports the module and returns its flow; workers do it again in their own
 * process, since closures are never serialised.
 */
/** Where a program is, and what it is run with: plain JSON. */
export interface ProgramRef {
  /** Absolute path of the module. */
  readonly path: string;
  /** `--flow`: the name of the flow, or of the export; undefined: the default export, or the only one. */
  readonly flow?: string | undefined;
  /** `--set`. */
  readonly settings: Readonly<Record<string, string>>;
}
