/**
 * The patterns of permissions: regular expressions over the names of exchanges and queues.
 *
 * A pattern is found anywhere in a name, as RabbitMQ does: `^` and `$` say where it begins and ends. The empty pattern allows nothing but the
 * empty name, as `^$`.
 *
 * A name comes from whoever is to be kept out, and JavaScript's own expressions can take time that is exponential in its length. So a
 * pattern becomes an automaton, all of whose states are followed at once: the time is bounded by states times characters. What that
 * cannot do is refused: looking ahead and behind, referring back, possessive repetition.
 *
 * Source: PCRE's syntax, as far as above; R. Pike's and K. Thompson's construction.
 */
import {
  PERMISSION_PATTERN_CHARACTERS_MAX,
  PERMISSION_PATTERN_STATES_MAX,
} from '../../core/queue-limits.ts';
import { type Expression, PatternFault, parsePattern } from './pattern-syntax.ts';

/** What is done at a state: `take` a character; go on at two states; go on at the beginning, or end, of the name only; be done. */
type State =
  | { readonly kind: 'take'; readonly takes: (character: string) => boolean }
  | { readonly kind: 'fork'; to: number; other: number }
  | { readonly kind: 'start' | 'end' | 'found' };

export type ParsedPattern =
  | { readonly ok: true; readonly pattern: PermissionPattern }
  | { readonly ok: false; readonly fault: string };

/** The pattern, or why there is none. */
export function permissionPattern(text: string): ParsedPattern {
  if (text.length > PERMISSION_PATTERN_CHARACTERS_MAX)
    return {
      ok: false,
      fault: `a pattern has at most ${PERMISSION_PATTERN_CHARACTERS_MAX} characters`,
    };
  try {
    return { ok: true, pattern: new PermissionPattern(parsePattern(text === '' ? '^$' : text)) };
  } catch (error) {
    if (error instanceof PatternFault) return { ok: false, fault: error.message };
    throw error;
  }
}

export class PermissionPattern {
  private readonly states: State[] = [];
  /** States that are reached, each once: `listed[state]` is the step that did it. */
  private readonly listed: Int32Array;
  private step = 0;

  constructor(expression: Expression) {
    this.emit(expression);
    this.add({ kind: 'found' });
    this.listed = new Int32Array(this.states.length);
  }

  /** Whether the pattern is found in a name. */
  test(name: string): boolean {
    this.listed.fill(0);
    this.step = 0;
    const characters = Array.from(name);
    let reached: number[] = [];
    for (let at = 0; at <= characters.length; at++) {
      const character = characters[at];
      const next: number[] = [];
      this.step++;
      const place = { isStart: at === 0, isEnd: character === undefined };
      // A match may begin anywhere.
      const candidates = [...reached, 0];
      const here: number[] = [];
      for (const state of candidates) if (this.follow(state, place, here)) return true;
      if (character === undefined) return false;
      for (const index of here) {
        const state = this.states[index];
        if (state?.kind === 'take' && state.takes(character)) next.push(index + 1);
      }
      reached = next;
    }
    return false;
  }

  /** Adds a state, and those that follow it without a character. @returns whether the end of the pattern is one of them */
  private follow(
    first: number,
    place: { readonly isStart: boolean; readonly isEnd: boolean },
    here: number[],
  ): boolean {
    const todo = [first];
    for (let index = todo.pop(); index !== undefined; index = todo.pop()) {
      if (this.listed[index] === this.step) continue;
      this.listed[index] = this.step;
      const state = this.states[index];
      switch (state?.kind) {
        case 'found':
          return true;
        case 'fork':
          todo.push(state.to, state.other);
          break;
        case 'start':
          if (place.isStart) todo.push(index + 1);
          break;
        case 'end':
          if (place.isEnd) todo.push(index + 1);
          break;
        case 'take':
          here.push(index);
          break;
        case undefined:
      }
    }
    return false;
  }

  private emit(expression: Expression): void {
    switch (expression.kind) {
      case 'take':
      case 'start':
      case 'end':
        this.add(expression);
        return;
      case 'sequence':
        for (const part of expression.parts) this.emit(part);
        return;
      case 'alternatives':
        this.emitAlternatives(expression.parts);
        return;
      case 'repeat':
        this.emitRepeat(expression);
    }
  }

  private emitAlternatives(parts: readonly Expression[]): void {
    const ends: { to: number; other: number }[] = [];
    parts.forEach((part, index) => {
      const isLast = index === parts.length - 1;
      const fork = isLast ? undefined : this.fork();
      this.emit(part);
      if (!isLast) ends.push(this.fork());
      if (fork !== undefined) fork.other = this.states.length;
    });
    for (const end of ends) end.to = end.other = this.states.length;
  }

  private emitRepeat({ part, min, max }: Extract<Expression, { kind: 'repeat' }>): void {
    for (let count = 0; count < min; count++) this.emit(part);
    if (max === undefined) {
      const start = this.states.length;
      const enter = this.fork();
      this.emit(part);
      const again = this.fork();
      again.to = again.other = start;
      enter.other = this.states.length;
      return;
    }
    const skips: { to: number; other: number }[] = [];
    for (let count = min; count < max; count++) {
      skips.push(this.fork());
      this.emit(part);
    }
    for (const skip of skips) skip.other = this.states.length;
  }

  /** Goes on at the next state; `other` is to be set. */
  private fork(): { to: number; other: number } {
    const fork = { kind: 'fork' as const, to: this.states.length + 1, other: 0 };
    this.add(fork);
    return fork;
  }

  private add(state: State): void {
    if (this.states.length >= PERMISSION_PATTERN_STATES_MAX)
      throw new PatternFault('a pattern cannot repeat so much');
    this.states.push(state);
  }
}
