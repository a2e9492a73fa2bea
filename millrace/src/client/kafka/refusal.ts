/** What a broker answered instead of what it was asked for, in words and with what to do about it. */
import { MillraceError } from '../../core/errors.ts';
import {
  errorName,
  errorSummary,
  isRetriable,
  type ErrorName,
} from '../../wire/kafka/error-codes.ts';

/** What each of Kafka's error names means to the person at the terminal, where we can say more than Kafka does. */
const HINTS: Readonly<Partial<Record<ErrorName, string>>> = {
  UNKNOWN_TOPIC_OR_PARTITION: 'See what there is with: millrace topic list',
  TOPIC_ALREADY_EXISTS: 'See what there is with: millrace topic list',
  INVALID_TOPIC_EXCEPTION:
    "A topic name is 1 to 249 of the characters a-z A-Z 0-9 . _ - and is not '.' or '..'",
  INVALID_PARTITIONS: 'Partitions can be added, never taken away',
  INVALID_CONFIG: 'The topic configs and their values are in docs/reference/topic-configs.md',
  GROUP_ID_NOT_FOUND: 'See what there is with: millrace group list',
  INVALID_GROUP_ID: 'A group name is any text that is not empty',
  UNKNOWN_MEMBER_ID:
    'Stop the consumers of the group first: its offsets can be moved only while it has no members',
  NON_EMPTY_GROUP:
    'Stop the consumers of the group first: its offsets can be moved only while it has no members',
  INCONSISTENT_GROUP_PROTOCOL:
    'The other members of the group assign partitions in another way than range or roundrobin: give this one a group of its own',
  MESSAGE_TOO_LARGE:
    'Raise max.message.bytes of the topic: millrace topic config TOPIC max.message.bytes=…',
  INVALID_RECORD:
    'A compacted topic takes no records without a key: see --key-separator and --json',
  KAFKA_STORAGE_ERROR: 'Look at the log of the broker: its disk is full or fails',
};

/** The error for a code that an answer carried. `detail` is the broker's own text, when it gave one. */
export function refusal(code: number, detail?: string | null): MillraceError {
  const name = errorName(code);
  return new MillraceError(
    'ML_BROKER_REFUSED',
    `the broker answered ${name}: ${detail ?? errorSummary(name)}`,
    {
      hint: HINTS[name] ?? 'The error names are those of the Kafka protocol',
      retriable: isRetriable(name),
      fields: { error: name },
    },
  );
}

/** @throws {MillraceError} ML_BROKER_REFUSED unless `code` is 0 */
export function accept(code: number, detail?: string | null): void {
  if (code !== 0) throw refusal(code, detail);
}

/** Kafka's name of the error that a broker answered with; undefined for other errors. */
export function refusedWith(error: unknown): ErrorName | undefined {
  if (!(error instanceof MillraceError) || error.code !== 'ML_BROKER_REFUSED') return undefined;
  return error.fields['error'] as ErrorName | undefined;
}

export function topicMissing(
  topic: string,
  partition?: number,
  options: { readonly retriable?: boolean } = {},
): MillraceError {
  const what = partition === undefined ? '' : `, or not its partition ${partition}`;
  return new MillraceError('ML_TOPIC_MISSING', `there is no topic ${topic}${what}`, {
    ...options,
    hint: `See what there is with: millrace topic list; create it with: millrace topic create ${topic}`,
    fields: { topic, ...(partition === undefined ? {} : { partition }) },
  });
}

/** Whether a topic or a partition was not there, in whichever way that was found out. */
export function missesTopic(error: unknown): boolean {
  if (error instanceof MillraceError && error.code === 'ML_TOPIC_MISSING') return true;
  return refusedWith(error) === 'UNKNOWN_TOPIC_OR_PARTITION';
}
