/**
 * How a Kafka message is written down: one line per field, from which the codec (codec.ts) and the TypeScript types
 * are both derived. Owns the vocabulary only; nothing here touches bytes.
 *
 * A field is `kind(versions, options)`; the order of the keys is the order on the wire. `versions` is `'3'`, `'3-7'`,
 * `'3+'`, and is about the message's version, at any depth. What a decoded object holds for a field that its version
 * does not have is the field's default: as in Kafka 0, false, '', the zero uuid, an empty array or buffer, unless
 * `default` says otherwise.
 *
 * Source: Kafka protocol guide; KIP-482 (flexible versions and tagged fields).
 */

export const ZERO_UUID = '00000000-0000-0000-0000-000000000000';

/** What a field is on the wire, with its type in memory. 64-bit integers are safe integers, uuids lower-case with hyphens. */
interface ScalarTypes {
  readonly bool: boolean;
  readonly int8: number;
  readonly int16: number;
  readonly int32: number;
  readonly int64: number;
  readonly string: string;
  readonly uuid: string;
  readonly bytes: Buffer;
  readonly records: Buffer;
}

export type ScalarKind = keyof ScalarTypes;

export interface FieldOptions<T> {
  /** Versions in which null may be written. */
  readonly nullable?: string;
  /** For the versions without the field, and for an encoder that is not given it. */
  readonly default?: T | null;
  /** The field is a tagged field (KIP-482) with this tag, written only when it differs from its default. */
  readonly tag?: number;
  /** An encoder may drop a value that differs from the default when the version does not have the field. */
  readonly ignorable?: true;
}

declare const OUT: unique symbol;
declare const IN: unique symbol;

/** `Out` is what a decoder gives, `In` what an encoder takes; `Optional` when the encoder need not be given it. */
export interface Field<Out = unknown, In = unknown, Optional extends boolean = boolean> {
  readonly kind: ScalarKind | 'array' | 'struct';
  readonly versions: string;
  readonly options: FieldOptions<unknown>;
  /** The kind of an array's elements; 'struct' when `fields` says what they are. */
  readonly element?: ScalarKind | 'struct';
  /** The fields of a struct, or of the structs in an array. */
  readonly fields?: Fields;
  readonly [OUT]?: Out;
  readonly [IN]?: { readonly type: In; readonly optional: Optional };
}

export type Fields = { readonly [name: string]: Field };

export interface Message<F extends Fields = Fields> {
  /** Kafka's name: `MetadataRequest`. */
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  /** The first flexible version; Infinity when there is none. */
  readonly flexibleSince: number;
  readonly fields: F;
}

type OutOf<F> = F extends Field<infer Out> ? Out : never;
type InOf<F> = F extends Field<unknown, infer In> ? In : never;
type Flatten<T> = { [K in keyof T]: T[K] };
type OptionalKeys<F extends Fields> = {
  [K in keyof F]: F[K] extends Field<unknown, unknown, true> ? K : never;
}[keyof F];

type StructOut<F extends Fields> = { readonly [K in keyof F]: OutOf<F[K]> };
type StructIn<F extends Fields> = Flatten<
  { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: InOf<F[K]> } & {
    readonly [K in OptionalKeys<F>]?: InOf<F[K]> | undefined;
  }
>;

/** The object that a decoder of this message returns: every field is present. */
export type Infer<M> = M extends Message<infer F> ? StructOut<F> : never;

/** The object that an encoder of this message takes: fields with a default may be left out. */
export type InferInput<M> = M extends Message<infer F> ? StructIn<F> : never;

/** The element of a message's array field: `ElementOf<MetadataResponse['topics']>`. */
export type ElementOf<A> = NonNullable<A> extends readonly (infer E)[] ? E : never;

type OrNull<T, O> = O extends { readonly nullable: string } ? T | null : T;
type IsOptional<O> = O extends { readonly default: unknown } | { readonly tag: number }
  ? true
  : false;
type FieldOf<Out, In, O> = Field<OrNull<Out, O>, OrNull<In, O>, IsOptional<O>>;

type ScalarBuilder<K extends ScalarKind> = <
  const O extends FieldOptions<ScalarTypes[K]> = FieldOptions<never>,
>(
  versions: string,
  options?: O,
) => FieldOf<ScalarTypes[K], ScalarTypes[K], O>;

function scalar<K extends ScalarKind>(kind: K): ScalarBuilder<K> {
  return (versions, options) => ({ kind, versions, options: options ?? {} });
}

export const bool: ScalarBuilder<'bool'> = scalar('bool');
export const int8: ScalarBuilder<'int8'> = scalar('int8');
export const int16: ScalarBuilder<'int16'> = scalar('int16');
export const int32: ScalarBuilder<'int32'> = scalar('int32');
/** A safe integer: a decoder refuses what a number cannot hold exactly. */
export const int64: ScalarBuilder<'int64'> = scalar('int64');
export const string: ScalarBuilder<'string'> = scalar('string');
export const uuid: ScalarBuilder<'uuid'> = scalar('uuid');
/** Decoded as a view of the message's buffer: copy it to keep it longer than the request. */
export const bytes: ScalarBuilder<'bytes'> = scalar('bytes');
/** Record batches, opaque here; decoded as a view like `bytes`. */
export const records: ScalarBuilder<'records'> = scalar('records');

type ElementOut<E> = E extends ScalarKind
  ? ScalarTypes[E]
  : E extends Fields
    ? StructOut<E>
    : never;
type ElementIn<E> = E extends ScalarKind ? ScalarTypes[E] : E extends Fields ? StructIn<E> : never;

/** An array of scalars (`array('0+', 'int32')`) or of structs (`array('0+', { name: string('0+') })`). */
export function array<
  const E extends ScalarKind | Fields,
  const O extends FieldOptions<readonly never[]> = FieldOptions<never>,
>(
  versions: string,
  element: E,
  options?: O,
): FieldOf<readonly ElementOut<E>[], readonly ElementIn<E>[], O> {
  const common = { kind: 'array', versions, options: options ?? {} } as const;
  return typeof element === 'string'
    ? { ...common, element }
    : { ...common, element: 'struct', fields: element };
}

export function struct<
  const F extends Fields,
  const O extends FieldOptions<null> = FieldOptions<never>,
>(versions: string, fields: F, options?: O): FieldOf<StructOut<F>, StructIn<F>, O> {
  return { kind: 'struct', versions, fields, options: options ?? {} };
}

/** The definition of one request or response. */
export function message<const F extends Fields>(definition: {
  readonly name: string;
  /** The versions that Millrace speaks. */
  readonly versions: string;
  /** The versions with compact encodings and tagged fields. */
  readonly flexible: string;
  readonly fields: F;
}): Message<F> {
  const { min, max } = parseVersions(definition.versions);
  return {
    name: definition.name,
    minVersion: min,
    maxVersion: max,
    flexibleSince:
      definition.flexible === 'none' ? Infinity : parseVersions(definition.flexible).min,
    fields: definition.fields,
  };
}

export interface VersionRange {
  readonly min: number;
  /** Infinity for an open range. */
  readonly max: number;
}

/** `'3'`, `'3-7'` or `'3+'`; `undefined` is the range that contains nothing. */
export function parseVersions(text: string | undefined): VersionRange {
  if (text === undefined) return { min: Infinity, max: -Infinity };
  const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(text);
  if (match === null) throw new TypeError(`not a version range: ${text}`);
  const min = Number(match[1]);
  if (match[2] !== undefined) return { min, max: Infinity };
  return { min, max: match[3] === undefined ? min : Number(match[3]) };
}

export function hasVersion(range: VersionRange, version: number): boolean {
  return range.min <= version && version <= range.max;
}
