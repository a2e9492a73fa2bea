/** Which messages a queue takes: not those it has seen already, and no more than there is room for. */
import { factsOf, type MessageFacts } from './message-facts.ts';
import type { QueueMessage } from './message.ts';

export interface Admission {
  readonly wanted: readonly QueueMessage[];
  /** Positions of those that were refused. */
  readonly refused: readonly number[];
  /** Positions of `wanted` in what was given; undefined: they are all of it. */
  readonly positions: readonly number[] | undefined;
}

export interface AdmissionRules {
  /** undefined: nothing is looked at. */
  readonly isDuplicate: ((facts: MessageFacts) => boolean) | undefined;
  /** How many more messages and bytes there is room for; Infinity: any. */
  readonly messagesMax: number;
  readonly bytesMax: number;
}

const NONE: readonly number[] = [];

export function admitAll(messages: readonly QueueMessage[]): Admission {
  return { wanted: messages, refused: NONE, positions: undefined };
}

export function admit(messages: readonly QueueMessage[], rules: AdmissionRules): Admission {
  const wanted: QueueMessage[] = [];
  const positions: number[] = [];
  const refused: number[] = [];
  let bytes = 0;
  for (const [index, message] of messages.entries()) {
    const isFull =
      wanted.length + 1 > rules.messagesMax || bytes + message.body.length > rules.bytesMax;
    if (isFull) refused.push(index);
    else if (rules.isDuplicate?.(factsOf(message.properties)) !== true) {
      wanted.push(message);
      positions.push(index);
      bytes += message.body.length;
    }
  }
  return { wanted, refused, positions };
}

/** All that was refused, when the log took only the first `taken` of those that were wanted. */
export function refusedOf(admission: Admission, taken: number): number[] {
  const { wanted, refused, positions } = admission;
  const all = [...refused];
  for (let index = taken; index < wanted.length; index++) all.push(positions?.[index] ?? index);
  return all.sort((a, b) => a - b);
}
