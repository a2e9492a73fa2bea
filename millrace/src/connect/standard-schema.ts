/**
 * What every validation library has in common: the interface of the Standard Schema specification, version 1, as far as it is used.
 * Source: https://standardschema.dev
 */

export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Of a record that fits badly, so many faults are told. */
const ISSUES_MAX = 5;

/** The faults of a record as one line: `price: expected number; items.0.sku: required`. */
export function issuesText(issues: readonly SchemaIssue[]): string {
  const texts = issues.slice(0, ISSUES_MAX).map(({ path, message }) => {
    const keys = (path ?? []).map((step) => String(typeof step === 'object' ? step.key : step));
    return keys.length === 0 ? message : `${keys.join('.')}: ${message}`;
  });
  const more = issues.length - texts.length;
  return more > 0 ? `${texts.join('; ')}; and ${more} more` : texts.join('; ');
}
