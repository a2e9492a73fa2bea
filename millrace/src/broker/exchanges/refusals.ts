/** What is said of queues and exchanges that cannot be had, in RabbitMQ's words. */
import { MillraceError } from '../../core/errors.ts';
import type { FieldTable, FieldValue } from '../../wire/amqp/field-table.ts';
import { equalFieldValues } from '../../wire/amqp/field-table.ts';
import type { QueueRefusal } from '../queues/queue.ts';
import { fieldOf, fieldType, shownField } from './field-values.ts';

export function refusal(error: QueueRefusal['error'], message: string): QueueRefusal {
  return { ok: false, error, message };
}

/** `queue 'orders' in vhost '/'` */
export function called(kind: 'queue' | 'exchange', name: string, vhost: string): string {
  return `${kind} '${name}' in vhost '${vhost}'`;
}

export function notFound(kind: 'queue' | 'exchange', name: string, vhost: string): QueueRefusal {
  return refusal('NOT_FOUND', `no ${called(kind, name, vhost)}`);
}

export function lockedQueue(name: string, vhost: string): QueueRefusal {
  return refusal(
    'RESOURCE_LOCKED',
    `cannot obtain exclusive access to locked ${called('queue', name, vhost)}. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`,
  );
}

export const RESERVED_PREFIX = 'amq.';

export function reservedName(kind: 'queue' | 'exchange', name: string): QueueRefusal {
  return refusal('ACCESS_REFUSED', `${kind} name '${name}' contains reserved prefix 'amq.*'`);
}

export function defaultExchange(): QueueRefusal {
  return refusal('ACCESS_REFUSED', 'operation not permitted on the default exchange');
}

/** Why a second declaration is another one: undefined when this field says the same. */
export function inequivalent(
  thing: string,
  field: string,
  values: { readonly current: boolean | string; readonly received: boolean | string },
): QueueRefusal | undefined {
  const { current, received } = values;
  return current === received
    ? undefined
    : refusal(
        'PRECONDITION_FAILED',
        `inequivalent arg '${field}' for ${thing}: received '${received}' but current is '${current}'`,
      );
}

/** The same of arguments: those of these names count. Integers are equal by their value, however wide they are. */
export function inequivalentArguments(
  thing: string,
  names: readonly string[],
  tables: { readonly current: FieldTable; readonly received: FieldTable },
): QueueRefusal | undefined {
  for (const name of names) {
    const current = fieldOf(tables.current, name);
    const received = fieldOf(tables.received, name);
    if (isSame(name, current, received)) continue;
    const both = current !== undefined && received !== undefined;
    return refusal(
      'PRECONDITION_FAILED',
      `inequivalent arg '${name}' for ${thing}: received ${shown(received, both)} but current is ${shown(current, both)}`,
    );
  }
  return undefined;
}

function isSame(
  name: string,
  current: FieldValue | undefined,
  received: FieldValue | undefined,
): boolean {
  if (current !== undefined && received !== undefined) return equalFieldValues(current, received);
  // What a queue is by default may be said or left out.
  return current === received || (name === 'x-queue-type' && (current ?? received) === 'classic');
}

function shown(value: FieldValue | undefined, both: boolean): string {
  if (value === undefined) return 'none';
  const text = shownField(value);
  return both ? `'${text}'` : `the value '${text}' of type '${fieldType(value)}'`;
}

/** A full disk is an answer; whatever else happens is none. */
export async function orDiskFull<Value>(
  work: () => Promise<Value>,
): Promise<{ readonly ok: true; readonly value: Value } | QueueRefusal> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'ML_DISK_FULL')
      return refusal('RESOURCE_ERROR', error.message);
    throw error;
  }
}
