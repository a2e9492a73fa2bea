/** The topics that a consumer asks for: the broker wants to know which committed offsets are in use, and nothing else. */
import { MillraceError } from '../../core/errors.ts';
import { decodeVersioned } from '../../wire/kafka/versioned.ts';
import { consumerProtocolSubscription } from '../../wire/kafka/internal/consumer-protocol.ts';

/** From the metadata of a JoinGroup; undefined when it is not a consumer's subscription. */
export function subscribedTopics(metadata: Buffer): readonly string[] | undefined {
  try {
    return decodeVersioned(consumerProtocolSubscription, metadata, { leftover: 'ignore' }).value
      .topics;
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'ML_WIRE_MALFORMED') return undefined;
    throw error;
  }
}
