import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FieldTimestamp, type FieldTable } from '../../wire/amqp/field-table.ts';
import { HeadersBindings, headersBindingFault } from './headers-match.ts';

const valueOf = fc.constantFrom(null, 1, 2, '1', true, 'void', 2n ** 60n);
const tableOf = fc
  .dictionary(fc.constantFrom('a', 'b', 'x-c', 'x-d'), valueOf, { maxKeys: 4 })
  .map((table): FieldTable => ({ ...table }));
const modeOf = fc.constantFrom(undefined, 'all', 'any', 'all-with-x', 'any-with-x');

/** The rules, read aloud. */
function matches(mode: string | undefined, wanted: FieldTable, headers: FieldTable): boolean {
  const names = Object.keys(wanted).filter(
    (name) => mode?.endsWith('-with-x') === true || !name.startsWith('x-'),
  );
  const fits = (name: string) =>
    name in headers && (wanted[name] === null || wanted[name] === headers[name]);
  return mode?.startsWith('any') === true ? names.some(fits) : names.every(fits);
}

test('a binding fits as its mode says, with and without arguments that begin with x-', () => {
  fc.assert(
    fc.property(modeOf, tableOf, tableOf, (mode, wanted, headers) => {
      const bindings = new HeadersBindings<string>();
      bindings.add(mode === undefined ? wanted : { ...wanted, 'x-match': mode }, 'here');
      const into: string[] = [];
      bindings.collect(headers, into);
      expect(into).toEqual(matches(mode, wanted, headers) ? ['here'] : []);
    }),
    { numRuns: 500 },
  );
});

test('what lies deeper is compared by its value, and numbers are not texts', () => {
  const bindings = new HeadersBindings<string>();
  const at = new FieldTimestamp(5);
  bindings.add({ list: [1, { deep: Buffer.from('x') }], at }, 'here');
  const into: string[] = [];
  bindings.collect({ list: [1, { deep: Buffer.from('x') }], at: new FieldTimestamp(5) }, into);
  expect(into).toEqual(['here']);
  bindings.collect({ list: [1, { deep: Buffer.from('y') }], at }, into);
  bindings.collect({ list: ['1', { deep: Buffer.from('x') }], at }, into);
  expect(into).toEqual(['here']);
});

test('a binding is gone when it was removed as often as it was added', () => {
  const bindings = new HeadersBindings<string>();
  const table = { a: 1 };
  bindings.add(table, 'here');
  bindings.add(table, 'here');
  bindings.remove(table, 'here');
  const into: string[] = [];
  bindings.collect({ a: 1 }, into);
  expect(into).toEqual(['here']);
  bindings.remove(table, 'here');
  bindings.collect({ a: 1 }, into);
  expect(into).toEqual(['here']);
});

test('a mode that is none is refused in the words of RabbitMQ', () => {
  expect(headersBindingFault({ 'x-match': 'some' })).toContain('expected all, any, all-with-x');
  expect(headersBindingFault({ 'x-match': 5 })).toContain('Invalid x-match field type signedint');
  expect(headersBindingFault({ 'x-match': 'any', a: 1 })).toBeUndefined();
  expect(headersBindingFault({})).toBeUndefined();
});
