/**
 * A Produce request as a list of buffers: the record batches are among them as they are, because copying them into one frame would cost
 * as much as sending them. The definition in wire/kafka/messages/00-produce.ts stays the authority: the test holds both against each other.
 *
 * @hot
 */
import { API_KEYS } from '../../wire/kafka/api-keys.ts';
import type { RequestHeader } from '../../wire/kafka/frames.ts';
import { Writer } from '../../wire/kafka/writer.ts';
import type { TopicPartition } from '../log.ts';
import { byTopic } from './partition-leaders.ts';

export interface ProduceRequestParts {
  readonly transactionalId: string | null;
  readonly acks: number;
  readonly timeoutMs: number;
  readonly batches: readonly (TopicPartition & { readonly bytes: Buffer })[];
}

const FLEXIBLE_SINCE = 9;
const SIZE_BYTES = 4;

/** @returns one frame, size prefix included; versions 3 to 12 */
export function encodeProduceRequest(
  header: Omit<RequestHeader, 'apiKey'>,
  request: ProduceRequestParts,
): Buffer[] {
  const flexible = header.apiVersion >= FLEXIBLE_SINCE;
  const writer = new Writer(1024);
  writer.int32(0);
  writer.int16(API_KEYS.Produce);
  writer.int16(header.apiVersion);
  writer.int32(header.correlationId);
  writer.nullableString(false, header.clientId);
  if (flexible) writer.unsignedVarint(0);
  writer.nullableString(flexible, request.transactionalId);
  writer.int16(request.acks);
  writer.int32(request.timeoutMs);
  const topics = byTopic(request.batches);
  writer.count(flexible, topics.size);
  /** Where the bytes of each batch belong. */
  const cuts: { readonly at: number; readonly bytes: Buffer }[] = [];
  for (const [topic, batches] of topics) {
    writer.nullableString(flexible, topic);
    writer.count(flexible, batches.length);
    for (const { partition, bytes } of batches) {
      writer.int32(partition);
      writer.count(flexible, bytes.length);
      cuts.push({ at: writer.position, bytes });
      if (flexible) writer.unsignedVarint(0);
    }
    if (flexible) writer.unsignedVarint(0);
  }
  if (flexible) writer.unsignedVarint(0);
  return interleaved(writer.finish(), cuts);
}

function interleaved(
  plain: Buffer,
  cuts: readonly { readonly at: number; readonly bytes: Buffer }[],
): Buffer[] {
  const chunks: Buffer[] = [];
  let from = 0;
  let byteCount = plain.length;
  for (const { at, bytes } of cuts) {
    chunks.push(plain.subarray(from, at), bytes);
    from = at;
    byteCount += bytes.length;
  }
  if (from < plain.length) chunks.push(plain.subarray(from));
  plain.writeInt32BE(byteCount - SIZE_BYTES, 0);
  return chunks;
}
