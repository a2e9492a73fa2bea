/** Every definition of wire/kafka, for the tests that go over all of them. */
import { INTERNAL_MESSAGES } from '../../src/wire/kafka/internal/registry.ts';
import { apiMessages, messages, type ApiMessages } from '../../src/wire/kafka/registry.ts';
import type { Message } from '../../src/wire/kafka/schema.ts';

export const ALL_APIS: readonly ApiMessages[] = Object.values(messages).flatMap(
  (api) => apiMessages(api.key) ?? [],
);

export const ALL_MESSAGES: readonly Message[] = [
  ...ALL_APIS.flatMap((api) => [api.request, api.response]),
  ...INTERNAL_MESSAGES,
];

export function versionsOf(message: Message): readonly number[] {
  return Array.from(
    { length: message.maxVersion - message.minVersion + 1 },
    (_, index) => message.minVersion + index,
  );
}
