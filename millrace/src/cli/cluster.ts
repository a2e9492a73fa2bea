/**
 * How the commands reach a broker: over the network, through `@platformatic/kafka`, so that each of them works against
 * Apache Kafka as well as against Millrace. The library takes a while to load and is loaded only here, when used.
 */
import type { Admin, BaseOptions } from '@platformatic/kafka';
import { MillraceError } from '../core/errors.ts';

/** The network client library. */
export type Library = typeof import('@platformatic/kafka');

export const DEFAULT_BROKERS = '127.0.0.1:9092';

/** `--brokers`, else MILLRACE_BROKERS, else the default port on this machine. */
export function brokersOption(value: string | undefined): string[] {
  const text = value ?? process.env['MILLRACE_BROKERS'] ?? DEFAULT_BROKERS;
  const brokers = text.split(',').map((broker) => broker.trim());
  for (const broker of brokers) {
    if (!/^[^\s:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/.test(broker)) {
      throw new MillraceError('ML_USAGE', `'${broker}' is not a broker address`, {
        hint: 'Write host:port, for example --brokers 127.0.0.1:9092',
      });
    }
  }
  return brokers;
}

export async function loadLibrary(): Promise<Library> {
  return import('@platformatic/kafka');
}

/** Options shared by every client that a command opens. */
export function clientOptions(brokers: string[]): BaseOptions {
  return {
    clientId: 'millrace-cli',
    bootstrapBrokers: brokers,
    retries: 3,
    retryDelay: 250,
    connectTimeout: 5000,
  };
}

/** Opens an admin client for the length of one call, and turns the library's errors into ours. */
export async function withAdmin<Result>(
  brokersText: string | undefined,
  work: (admin: Admin, library: Library) => Promise<Result>,
): Promise<Result> {
  const brokers = brokersOption(brokersText);
  const library = await loadLibrary();
  const admin = new library.Admin(clientOptions(brokers));
  try {
    return await work(admin, library);
  } catch (error) {
    throw translate(error, brokers);
  } finally {
    await admin.close();
  }
}

interface Nested {
  readonly code?: unknown;
  readonly apiId?: unknown;
  readonly message?: unknown;
  readonly serverErrorMessage?: unknown;
  readonly cause?: unknown;
  readonly errors?: unknown;
}

/** What each of Kafka's error names means to the person at the terminal, where we can say more than Kafka does. */
const HINTS: Readonly<Record<string, string>> = {
  UNKNOWN_TOPIC_OR_PARTITION: 'See what there is with: millrace topic list',
  TOPIC_ALREADY_EXISTS: 'See it with: millrace topic describe NAME',
  INVALID_TOPIC_EXCEPTION:
    "A topic name is 1 to 249 of the characters a-z A-Z 0-9 . _ - and is not '.' or '..'",
  INVALID_PARTITIONS: 'Partitions can be added, never taken away',
  INVALID_CONFIG: 'The topic configs and their values are in docs/reference/topic-configs.md',
  GROUP_ID_NOT_FOUND: 'See what there is with: millrace group list',
  UNKNOWN_MEMBER_ID:
    'Stop the consumers of the group first: its offsets can be reset only while it is empty',
  NON_EMPTY_GROUP: 'Stop the consumers of the group first',
};

/** Turns an error of the library into ours: finds the innermost reason, and says what to do about it. */
export function translate(error: unknown, brokers: readonly string[]): unknown {
  if (error instanceof MillraceError) return error;
  const reasons = flatten(error as Nested, 0);
  const named = reasons.find((reason) => typeof reason.apiId === 'string');
  if (named !== undefined) {
    const name = String(named.apiId);
    const detail =
      typeof named.serverErrorMessage === 'string'
        ? named.serverErrorMessage
        : String(named.message);
    return new MillraceError('ML_BROKER_REFUSED', `the broker answered ${name}: ${detail}`, {
      cause: error,
      hint: HINTS[name] ?? 'The error names are those of the Kafka protocol',
    });
  }
  const topic = reasons
    .map((reason) => /^Unknown topic (.+?)\.?$/.exec(String(reason.message))?.[1])
    .find((name) => name !== undefined);
  if (topic !== undefined) {
    return new MillraceError('ML_BROKER_REFUSED', `there is no topic ${topic}`, {
      cause: error,
      hint: `Create it with: millrace topic create ${topic}; or see what there is with: millrace topic list`,
    });
  }
  if (
    reasons.some((reason) => reason.code === 'PLT_KFK_NETWORK' || reason.code === 'PLT_KFK_TIMEOUT')
  ) {
    return new MillraceError('ML_CONNECT_FAILED', `no broker answers at ${brokers.join(', ')}`, {
      cause: error,
      hint: 'Start one with: millrace start; or name another with --brokers host:port',
    });
  }
  return error;
}

function flatten(error: Nested | undefined | null, depth: number): Nested[] {
  if (error === undefined || error === null || typeof error !== 'object' || depth > 8) return [];
  const inner = Array.isArray(error.errors) ? (error.errors as Nested[]) : [];
  return [
    ...inner.flatMap((each) => flatten(each, depth + 1)),
    ...flatten(error.cause as Nested | undefined, depth + 1),
    error,
  ];
}
