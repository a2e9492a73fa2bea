/** Which messages a queue takes: not those it has seen already, and no more than there is room for. */
import { factsOf } from './message-facts.ts';
import type { QueueMessage } from './message.ts';

export interface Admission {
  readonly wanted: readonly QueueMessage[];
  /** Positions of those that were refused. */
  readonly refused: readonly number[];
  /** Positions of `wanted` in what was given; undefined: they are all of it. */
  readonly positions: readonly number[] | undefined;
  /** Copies of what came with them: they are taken if that is. */
  readonly copies: readonly Copy[];
}

interface Copy {
  readonly position: number;
  /** In `wanted`: where that is whose copy it is. */
  readonly of: number;
}

export interface AdmissionRules {
  /** Whether a message with this dedupe key was seen; undefined: keys mean nothing. */
  readonly isRemembered: ((dedupeKey: string) => boolean) | undefined;
  /** How many more messages and bytes there is room for; Infinity: any. */
  readonly messagesMax: number;
  readonly bytesMax: number;
}

const NONE: readonly never[] = [];

export function admitAll(messages: readonly QueueMessage[]): Admission {
  return { wanted: messages, refused: NONE, positions: undefined, copies: NONE };
}

export function admit(messages: readonly QueueMessage[], rules: AdmissionRules): Admission {
  const { isRemembered } = rules;
  const wanted: QueueMessage[] = [];
  const positions: number[] = [];
  const refused: number[] = [];
  const copies: Copy[] = [];
  /** Where in `wanted` the keys are that came with these messages. */
  const keys = new Map<string, number>();
  let bytes = 0;
  for (const [position, message] of messages.entries()) {
    const key = isRemembered === undefined ? undefined : factsOf(message.properties).dedupeKey;
    const first = key === undefined ? undefined : keys.get(key);
    const isFull =
      wanted.length + 1 > rules.messagesMax || bytes + message.body.length > rules.bytesMax;
    if (first !== undefined) copies.push({ position, of: first });
    else if (key !== undefined && isRemembered?.(key) === true) continue;
    else if (isFull) refused.push(position);
    else {
      if (key !== undefined) keys.set(key, wanted.length);
      wanted.push(message);
      positions.push(position);
      bytes += message.body.length;
    }
  }
  return { wanted, refused, positions, copies };
}

/** All that was refused, when the log has not taken these of the wanted ones. @param notTaken positions in `wanted` */
export function refusedOf(admission: Admission, notTaken: readonly number[]): readonly number[] {
  const { refused, positions, copies } = admission;
  if (notTaken.length === 0) return refused;
  const all = [...refused];
  for (const index of notTaken) all.push(positions?.[index] ?? index);
  if (copies.length > 0) {
    const gone = new Set(notTaken);
    for (const { position, of } of copies) if (gone.has(of)) all.push(position);
  }
  return all.sort((a, b) => a - b);
}
