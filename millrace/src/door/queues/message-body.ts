/** Bodies of messages: from values to bytes, and back. */
import { MillraceError } from '../../core/errors.ts';
import type { Serde } from '../../flow/serde.ts';

/** Serdes for which no bytes are a value. */
const TAKES_NOTHING: ReadonlySet<string> = new Set(['string', 'text', 'bytes']);

/** @throws {MillraceError} ML_SINK_VALUE_INVALID */
export function encodeBody(queue: string, serde: Serde<unknown>, value: unknown): Buffer {
  if (value === undefined)
    throw new MillraceError('ML_SINK_VALUE_INVALID', `a message for queue ${queue} is undefined`, {
      fields: { queue },
      hint: 'Give null where there is nothing to say',
    });
  try {
    const bytes = serde.encode(value);
    // The serde may use its memory again.
    return typeof bytes === 'string' ? Buffer.from(bytes) : Buffer.from(bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError(
      'ML_SINK_VALUE_INVALID',
      `a message cannot be written to queue ${queue}: ${reason}`,
      { cause, fields: { queue } },
    );
  }
}

/**
 * No bytes are null, as in topics, unless they are a text.
 * @throws {MillraceError} ML_INPUT_MALFORMED; or a promise that rejects with it
 */
export function decodeBody(queue: string, serde: Serde<unknown>, body: Buffer): unknown {
  if (body.length === 0 && !TAKES_NOTHING.has(serde.name)) return null;
  try {
    const value = serde.decode(body, 0, body.length);
    if (!(value instanceof Promise)) return value;
    return value.catch((cause: unknown) => {
      throw malformed(queue, cause);
    });
  } catch (cause) {
    throw malformed(queue, cause);
  }
}

function malformed(queue: string, cause: unknown): MillraceError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new MillraceError(
    'ML_INPUT_MALFORMED',
    `a message of queue ${queue} cannot be decoded: ${reason}`,
    { cause, fields: { queue } },
  );
}
