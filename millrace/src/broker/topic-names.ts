/** Which topic names are legal, and which are ours. Source: Kafka's `Topic` rules (KAFKA-3219). */

/** Topics that hold the broker's own state: clients may read them, only the broker writes them. */
export const OFFSETS_TOPIC = '__consumer_offsets';
export const TRANSACTIONS_TOPIC = '__transaction_state';
export const QUEUE_STATE_TOPIC = '__queue_state';

const NAME_CHARACTERS_MAX = 249;
const LEGAL = /^[a-zA-Z0-9._-]+$/;

export function isInternalTopic(name: string): boolean {
  return name === OFFSETS_TOPIC || name === TRANSACTIONS_TOPIC || name === QUEUE_STATE_TOPIC;
}

/** Why a topic cannot have this name, or undefined when it can. */
export function topicNameFault(name: string): string | undefined {
  if (name === '') return 'a topic name cannot be empty';
  if (name === '.' || name === '..') return `a topic cannot be named '${name}'`;
  if (name.length > NAME_CHARACTERS_MAX)
    return `a topic name has at most ${NAME_CHARACTERS_MAX} characters, this one has ${name.length}`;
  if (!LEGAL.test(name))
    return `a topic name is made of letters, digits, '.', '_' and '-', unlike ${JSON.stringify(name)}`;
  return undefined;
}
