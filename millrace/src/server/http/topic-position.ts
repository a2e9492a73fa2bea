/** Where a subscription of a topic begins. */
import { topicMissing } from '../../client/kafka/refusal.ts';
import type { Log, TopicPartition } from '../../client/log.ts';
import { MillraceError } from '../../core/errors.ts';
import { badRequest } from './http-errors.ts';
import { type OffsetVector, parseVector, vectorText } from './offset-vector.ts';

export interface FeedStart {
  readonly positions: OffsetVector;
  /** One past what could be read when it began. */
  readonly ends: OffsetVector;
  /** All partitions are read, also those that will be added. */
  readonly isWhole: boolean;
}

export interface StartAsked {
  /** `beginning`, `end`, a vector of offsets, or a time. Default `end`. */
  readonly from: string | undefined;
  /** Where the same subscription was before: goes before `from`. */
  readonly last: string | undefined;
}

/**
 * @throws {MillraceError} ML_TOPIC_MISSING; ML_HTTP_REQUEST; ML_OFFSET_OUT_OF_RANGE when what was asked for has been deleted, or was never
 * there
 */
export async function startOf(log: Log, topic: string, asked: StartAsked): Promise<FeedStart> {
  const found = (await log.topics([topic])).get(topic);
  if (found === undefined) throw topicMissing(topic);
  const { from = 'end' } = asked;
  const named = parseVector(from);
  const last = asked.last === undefined ? undefined : parseVector(asked.last);
  if (asked.last !== undefined && last === undefined)
    throw badRequest(400, 'the last event id is none of this topic', 'Leave it out, and say from');
  const all = Array.from({ length: found.partitions }, (_, partition) => ({ topic, partition }));
  const places = named === undefined ? all : placesOf(topic, named, found.partitions);
  const [beginnings, ends] = await Promise.all([
    log.offsets(places, 'beginning'),
    log.offsets(places, 'stable'),
  ]);
  const starts =
    last === undefined && named === undefined
      ? await startsOf(log, places, { from, beginnings, ends })
      : // Partitions that the last id does not know were added since.
        places.map(({ partition }, index) =>
          last === undefined ? named?.get(partition) : (last.get(partition) ?? beginnings[index]),
        );
  const vector = (offsets: readonly (number | undefined)[]): OffsetVector =>
    new Map(places.map(({ partition }, index) => [partition, offsets[index] ?? 0]));
  const start = { positions: vector(starts), ends: vector(ends), isWhole: named === undefined };
  if (last !== undefined || named !== undefined)
    checkThere(topic, start, vector(beginnings), vector(await log.offsets(places, 'end')));
  return start;
}

function placesOf(topic: string, named: OffsetVector, partitions: number): TopicPartition[] {
  for (const partition of named.keys())
    if (partition >= partitions) throw topicMissing(topic, partition);
  return [...named.keys()].map((partition) => ({ topic, partition }));
}

async function startsOf(
  log: Log,
  places: readonly TopicPartition[],
  {
    from,
    beginnings,
    ends,
  }: {
    readonly from: string;
    readonly beginnings: readonly (number | undefined)[];
    readonly ends: readonly (number | undefined)[];
  },
): Promise<readonly (number | undefined)[]> {
  if (from === 'beginning') return beginnings;
  if (from === 'end') return ends;
  const timestamp = timeOf(from);
  const found = await log.offsets(places, { timestamp });
  return found.map((offset, index) => offset ?? ends[index]);
}

function timeOf(from: string): number {
  const isIso = /^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d))?$/.test(from);
  const ms = /^\d{1,16}$/.test(from) ? Number(from) : isIso ? Date.parse(from) : Number.NaN;
  if (Number.isSafeInteger(ms) && ms >= 0) return ms;
  throw badRequest(
    400,
    `from cannot be '${from.slice(0, 100)}'`,
    'Write beginning, end, offsets by partition as in 0:123,1:456, or a time as in 2026-01-31T12:00:00Z',
  );
}

/** @throws {MillraceError} ML_OFFSET_OUT_OF_RANGE */
function checkThere(
  topic: string,
  { positions }: FeedStart,
  beginnings: OffsetVector,
  ends: OffsetVector,
): void {
  for (const [partition, offset] of positions) {
    const first = beginnings.get(partition) ?? 0;
    const end = ends.get(partition) ?? 0;
    if (offset >= first && offset <= end) continue;
    throw new MillraceError(
      'ML_OFFSET_OUT_OF_RANGE',
      offset < first
        ? `offset ${offset} of topic ${topic} partition ${partition} has been deleted: the first that is there is ${first}`
        : `topic ${topic} partition ${partition} ends at offset ${end}, before ${offset}: it is not the topic that was read before`,
      {
        hint: `Begin anew, with from=beginning, or with from=${vectorText(beginnings)}`,
        fields: { topic, partition, offset, first, end },
      },
    );
  }
}
