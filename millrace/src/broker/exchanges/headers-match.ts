/**
 * The bindings of a headers exchange. Each is looked at for each message: nothing tells beforehand which headers matter.
 *
 * `x-match`: `all` (default), `any`: arguments that begin with `x-` are not compared; `all-with-x`, `any-with-x`: all but `x-match` are. An
 * argument without a value asks only that the header is there. `any` of nothing matches nothing, `all` of nothing everything.
 *
 * Source: AMQP 0-9-1 §3.1.3.4; RabbitMQ's headers exchange.
 */
import { equalFieldValues, type FieldTable, type FieldValue } from '../../wire/amqp/field-table.ts';
import { DestinationSet } from './destination-set.ts';
import { fieldOf, fieldType, shownField } from './field-values.ts';

const MODES: readonly unknown[] = ['all', 'any', 'all-with-x', 'any-with-x'];

/** Why such a binding cannot be; undefined when it can. */
export function headersBindingFault(table: FieldTable): string | undefined {
  const mode = fieldOf(table, 'x-match') ?? 'all';
  if (typeof mode !== 'string')
    return `Invalid x-match field type ${fieldType(mode)} (value ${shownField(mode)}); expected longstr`;
  return MODES.includes(mode)
    ? undefined
    : `Invalid x-match field value "${mode}"; expected all, any, all-with-x, or any-with-x`;
}

class Pattern {
  readonly all: boolean;
  readonly wanted: readonly (readonly [name: string, value: FieldValue])[];

  constructor(table: FieldTable) {
    const mode = fieldOf(table, 'x-match') ?? 'all';
    const withX = mode === 'all-with-x' || mode === 'any-with-x';
    this.all = mode === 'all' || mode === 'all-with-x';
    this.wanted = Object.entries(table).filter(
      ([name]) => name !== 'x-match' && (withX || !name.startsWith('x-')),
    );
  }

  matches(headers: FieldTable): boolean {
    for (const [name, value] of this.wanted) {
      const found = fieldOf(headers, name);
      const same = found !== undefined && (value === null || equalFieldValues(value, found));
      if (same !== this.all) return same;
    }
    return this.all;
  }
}

export class HeadersBindings<Destination> {
  /** By the arguments, whose identity the owner keeps. */
  private readonly byTable = new Map<
    FieldTable,
    { readonly pattern: Pattern; readonly bound: DestinationSet<Destination> }
  >();

  add(table: FieldTable, destination: Destination): void {
    let entry = this.byTable.get(table);
    if (entry === undefined) {
      entry = { pattern: new Pattern(table), bound: new DestinationSet() };
      this.byTable.set(table, entry);
    }
    entry.bound.add(destination);
  }

  /** @param table the one given to `add` */
  remove(table: FieldTable, destination: Destination): void {
    const entry = this.byTable.get(table);
    entry?.bound.remove(destination);
    if (entry?.bound.isEmpty === true) this.byTable.delete(table);
  }

  collect(headers: FieldTable, into: Destination[]): void {
    for (const { pattern, bound } of this.byTable.values())
      if (pattern.matches(headers)) bound.collect(into);
  }
}
