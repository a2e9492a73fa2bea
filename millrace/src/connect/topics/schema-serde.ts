/** Any Standard Schema in front of a serde: what is read, and what is written, must fit it. */
import type { Serde } from '../../flow/serde.ts';
import { issuesText, type SchemaResult, type StandardSchema } from '../standard-schema.ts';

/**
 * The serde with a check of its values. What is read is what the schema makes of it; what is written stays as it is, and must fit: a schema
 * that turns values into others is for reading alone.
 */
export function withSchema<T>(
  serde: Serde<unknown>,
  schema: StandardSchema<T> | undefined,
): Serde<T> {
  if (schema === undefined) return serde as Serde<T>;
  const standard = schema['~standard'];
  return {
    name: serde.name,
    decode: (buffer, start, end) => {
      const decoded = serde.decode(buffer, start, end);
      if (decoded instanceof Promise)
        return decoded.then(async (value: unknown) => checked(await standard.validate(value)));
      const result = standard.validate(decoded);
      return result instanceof Promise ? result.then(checked) : checked(result);
    },
    encode: (value) => {
      const result = standard.validate(value);
      if (result instanceof Promise) {
        // Its failure is told by the error below.
        result.catch(() => undefined);
        throw new Error('its schema answers later, and what is written must be checked at once');
      }
      checked(result);
      return serde.encode(value);
    },
  };
}

function checked<T>(result: SchemaResult<T>): T {
  if (result.issues === undefined) return result.value;
  throw new Error(`it does not fit its schema: ${issuesText(result.issues)}`);
}
