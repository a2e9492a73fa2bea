/** What a subscriber of a topic says about being slow. */
import { TOPIC_BUFFER_BYTES, TOPIC_BUFFER_BYTES_MAX } from '../../core/http-limits.ts';
import { badRequest } from './http-errors.ts';
import type { SlowPolicy } from './topic-feed.ts';

const POLICIES: readonly string[] = ['backpressure', 'drop', 'buffer'];

/** @throws {MillraceError} ML_HTTP_REQUEST */
export function policyOf(
  slow: unknown,
  buffer: unknown,
): { readonly slow: SlowPolicy; readonly bufferBytes: number } {
  const policy = slow ?? 'backpressure';
  if (typeof policy !== 'string' || !POLICIES.includes(policy))
    throw badRequest(400, `slow is one of ${POLICIES.join(', ')}`, 'Leave it out for backpressure');
  if (buffer !== undefined && policy !== 'buffer')
    throw badRequest(400, 'buffer is for slow=buffer', 'Say slow=buffer, or leave it out');
  const bytes = buffer ?? TOPIC_BUFFER_BYTES;
  if (typeof bytes !== 'number' || !(bytes >= 1 && bytes <= TOPIC_BUFFER_BYTES_MAX))
    throw badRequest(
      400,
      `buffer is a number of bytes from 1 to ${TOPIC_BUFFER_BYTES_MAX}`,
      `Leave it out for ${TOPIC_BUFFER_BYTES}`,
    );
  return { slow: policy as SlowPolicy, bufferBytes: bytes };
}
