/** Parameters of a program: `f.param` declares them with their defaults, `--set name=value` changes them. */
import { MillraceError } from '../core/errors.ts';

export type ParameterValue = string | number | boolean;

export class Parameters {
  readonly #flowName: string;
  readonly #settings: ReadonlyMap<string, string>;
  readonly #defaults = new Map<string, ParameterValue>();
  readonly #values = new Map<string, ParameterValue>();
  #isClosed = false;

  constructor(flowName: string, settings: Readonly<Record<string, string>>) {
    this.#flowName = flowName;
    this.#settings = new Map(Object.entries(settings));
  }

  /** @throws {MillraceError} ML_PARAMETER_INVALID, ML_FLOW_INVALID */
  value(name: string, fallback: ParameterValue): ParameterValue {
    this.#checkDeclaration(name, fallback);
    const known = this.#values.get(name);
    if (known !== undefined) return known;
    if (this.#isClosed) throw this.#tooLate(name);
    this.#defaults.set(name, fallback);
    const text = this.#settings.get(name);
    const value = text === undefined ? fallback : this.#parse(name, text, fallback);
    this.#values.set(name, value);
    return value;
  }

  /** The flow is built. Refuses settings that no `f.param` asked for. @throws {MillraceError} ML_PARAMETER_INVALID */
  close(): void {
    this.#isClosed = true;
    for (const name of this.#settings.keys()) {
      if (!this.#defaults.has(name)) throw this.#invalid(name, `it has no parameter "${name}"`);
    }
  }

  values(): Readonly<Record<string, ParameterValue>> {
    return Object.freeze(Object.fromEntries(this.#values));
  }

  #checkDeclaration(name: string, fallback: unknown): void {
    const before = this.#defaults.get(name);
    const isValue =
      typeof fallback === 'string' ||
      typeof fallback === 'boolean' ||
      (typeof fallback === 'number' && Number.isFinite(fallback));
    const problem =
      typeof name !== 'string' || !/^[A-Za-z_][\w.-]*$/.test(name)
        ? 'its name must be letters, digits, dots, underscores or hyphens, beginning with a letter'
        : !isValue
          ? 'its default must be a string, a finite number or a boolean'
          : before !== undefined && before !== fallback
            ? `it is asked for twice with different defaults, ${String(before)} and ${String(fallback)}`
            : undefined;
    if (problem === undefined) return;
    throw new MillraceError(
      'ML_FLOW_INVALID',
      `flow "${this.#flowName}", param "${name}": ${problem}`,
      { fields: { flow: this.#flowName, parameter: name } },
    );
  }

  #tooLate(name: string): MillraceError {
    return new MillraceError(
      'ML_FLOW_INVALID',
      `flow "${this.#flowName}", param "${name}": the flow has been built already`,
      {
        fields: { flow: this.#flowName, parameter: name },
        hint: 'Ask for it in the builder, outside of the functions that run on records',
      },
    );
  }

  #parse(name: string, text: string, fallback: ParameterValue): ParameterValue {
    if (typeof fallback === 'string') return text;
    if (typeof fallback === 'boolean') {
      if (text === 'true' || text === 'false') return text === 'true';
      throw this.#invalid(name, `parameter "${name}" must be true or false, and is "${text}"`);
    }
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (Number.isFinite(value)) return value;
    throw this.#invalid(name, `parameter "${name}" must be a number, and is "${text}"`);
  }

  #invalid(name: string, problem: string): MillraceError {
    const list = [...this.#defaults].map(
      ([known, value]) => `${known} (${typeof value}, default ${JSON.stringify(value)})`,
    );
    const known =
      list.length === 0 ? 'the program has no parameters' : `parameters: ${list.join(', ')}`;
    return new MillraceError(
      'ML_PARAMETER_INVALID',
      `flow "${this.#flowName}": ${problem}; ${known}`,
      { fields: { flow: this.#flowName, parameter: name } },
    );
  }
}

/** Values of parameters, by name, as programs give them. */
export type ParameterValues = Readonly<Record<string, ParameterValue>>;

/** The same as text, as `--set` gives them. */
export function parameterTexts(values: ParameterValues = {}): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
}
