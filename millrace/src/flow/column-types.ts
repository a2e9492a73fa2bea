/**
 * Types of declarative columns. An expression carries which columns it uses, as what (`Use`), and what it gives: a type, or a mark that
 * stands for the type of a column, which is known only when the expression meets the rows that it is used on.
 */
import type { FlowTypeError, IsAny } from './type-errors.ts';

/** A column that an expression uses; `Type` unknown: as whatever it is. */
export interface Use<Name extends string, Type> {
  readonly name: Name;
  readonly type: Type;
}
export type AnyUse = Use<string, unknown>;

/** Stands for the type of a column. */
export interface ColumnOf<Name extends string> {
  readonly columnOf: Name;
}
/** Stands for a number, or null if one of these columns can be. */
export interface NumberOf<Name extends string> {
  readonly numberOf: Name;
}
/** Stands for a text, or null if this column can be. */
export interface TextOf<Name extends string> {
  readonly textOf: Name;
}

/** What an expression gives on rows of type R. */
export type Resolved<R, V> =
  V extends ColumnOf<infer N>
    ? N extends keyof R
      ? R[N]
      : never
    : V extends NumberOf<infer N>
      ? number | NullIn<R, N>
      : V extends TextOf<infer N>
        ? string | NullIn<R, N>
        : V;

type NullIn<R, N extends string> = N extends keyof R
  ? IsAny<R[N]> extends true
    ? never
    : R[N] extends infer Member
      ? Member extends null | undefined
        ? null
        : never
      : never
  : never;

/** What arithmetic makes of an operand. */
export type AsNumber<V> =
  V extends ColumnOf<infer N>
    ? NumberOf<N>
    : V extends NumberOf<string>
      ? V
      : V extends number | null
        ? V extends number
          ? number
          : null
        : null;

/** What functions of text make of an operand. */
export type AsText<V> =
  V extends ColumnOf<infer N>
    ? TextOf<N>
    : V extends TextOf<string>
      ? V
      : V extends string
        ? string
        : null;

/** An operand that is a column is used as this type. */
export type UsedAs<V, Type> = V extends ColumnOf<infer N> ? Use<N, Type> : never;

export type TypeOfLiteral<X> = X extends string
  ? string
  : X extends number
    ? number
    : X extends boolean
      ? boolean
      : never;

/** For an expression on rows of type R: `unknown` when all columns are there and have the types that it uses them as. */
export type ColumnsFit<R, U> = [Misfit<R, U>] extends [never] ? unknown : Misfit<R, U>;

type Misfit<R, U> =
  U extends Use<infer N, infer Type>
    ? N extends keyof R
      ? TypeMisfit<N, R[N], Type>
      : FlowTypeError<`There is no column '${N}'`>
    : never;

type TypeMisfit<N extends string, Column, Type> = unknown extends Type
  ? never
  : unknown extends Column
    ? never
    : [Extract<Column, Type>] extends [never]
      ? [Extract<Type, Column>] extends [never]
        ? FlowTypeError<`The column '${N}' holds ${NameOf<Column>} and is used as ${NameOf<Type>}`>
        : never
      : never;

/** A type in a sentence. */
type NameOf<Type> = [NonNullable<Type>] extends [string]
  ? 'text'
  : [NonNullable<Type>] extends [number]
    ? 'numbers'
    : [NonNullable<Type>] extends [boolean]
      ? 'booleans'
      : 'something else';

/** The name of a column that rows of type R have. */
export type KnownColumn<R, N extends string> = N extends keyof R
  ? N
  : FlowTypeError<`There is no column '${N}'`>;

/** For the object that `where` compares columns with. */
export type EqualsFit<R, C> = {
  readonly [N in keyof C]: C[N] extends null
    ? ColumnsFit<R, Use<N & string, unknown>>
    : ColumnsFit<R, Use<N & string, TypeOfLiteral<C[N]>>>;
};

/** One object type instead of an intersection, for people who read messages. */
export type Flat<T> = { [N in keyof T]: T[N] } & {};
