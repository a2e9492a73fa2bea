/** What is said of a message beside its body, by whoever puts it into a queue. */
import type { MessageFields } from '../../client/amqp/message-properties.ts';
import { optionFault, type OptionNames } from '../../core/option-names.ts';
import { DELAY_MS_MAX } from '../../core/queue-limits.ts';
import { DURATION_FORMS, type Duration, millisecondsOf } from '../../flow/durations.ts';

/** Beside the body. */
export interface MessageOptions {
  /** It is given to nobody for so long. Default: at once. At most 49 days. */
  readonly delay?: Duration;
  /** 0 to `maxPriority` of the queue; higher ones go first. Default 0. */
  readonly priority?: number;
  /** In a queue that is ordered by key, messages of a key are handled one after the other, in their order. Default: none; such messages
   * wait for nobody. */
  readonly key?: string | undefined;
  /** A message with the same one that came within the window of the queue (`dedupe`) is taken, and not kept. */
  readonly dedupeKey?: string | undefined;
  /** What it is called. Default: a UUID; for what a flow writes: none. */
  readonly id?: string | undefined;
  /** It becomes a dead letter when nobody has taken it for so long. Default: what the queue says, else never. */
  readonly expiresIn?: Duration;
  /** Whatever else goes along. */
  readonly headers?: Readonly<Record<string, MessageHeader>>;
}

export type MessageHeader = string | number | boolean | null;

const MESSAGE_OPTIONS: OptionNames<MessageOptions> = {
  delay: true,
  priority: true,
  key: true,
  dedupeKey: true,
  id: true,
  expiresIn: true,
  headers: true,
};
const NO_HEADERS: MessageFields['headers'] = Object.freeze({});

/** @throws {Error} whose message says what is wrong */
export function messageFields(options: MessageOptions, maxPriority: number): MessageFields {
  const fault = optionFault(options, MESSAGE_OPTIONS);
  if (fault !== undefined) throw new Error(`it ${fault.sentence}`);
  const { delay, priority = 0, key, dedupeKey, id, expiresIn, headers = NO_HEADERS } = options;
  if (!(Number.isInteger(priority) && priority >= 0 && priority <= maxPriority))
    throw new Error(`its priority is ${String(priority)}, and must be 0 to ${maxPriority}`);
  for (const [name, value] of Object.entries({ key, dedupeKey, id }))
    if (value !== undefined && typeof value !== 'string')
      throw new Error(`its ${name} must be text, and is a ${typeof value}`);
  return {
    delayMs: delay === undefined ? 0 : timeOf('delay', delay),
    priority,
    key,
    dedupeKey,
    id,
    expiresInMs: expiresIn === undefined ? undefined : timeOf('expiresIn', expiresIn),
    headers: checkedHeaders(headers),
  };
}

function timeOf(what: string, given: Duration): number {
  const ms = millisecondsOf(given);
  if (ms === undefined)
    throw new Error(`its ${what} is ${JSON.stringify(given)}, and must be ${DURATION_FORMS}`);
  if (ms <= DELAY_MS_MAX) return ms;
  throw new Error(`its ${what} is ${ms} ms, and may be at most ${DELAY_MS_MAX} ms (49 days)`);
}

function checkedHeaders(headers: MessageFields['headers']): MessageFields['headers'] {
  for (const [name, value] of Object.entries(headers)) {
    const isPlain = value === null || ['string', 'number', 'boolean'].includes(typeof value);
    if (!isPlain)
      throw new Error(
        `its header ${name} must be text, a number, true, false or null, and is a ${typeof value}`,
      );
  }
  return headers;
}
