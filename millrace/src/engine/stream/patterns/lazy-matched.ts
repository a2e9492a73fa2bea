/**
 * What is matched so far, for conditions: most never look at it, so it is put together when one does. It looks like the plain object that it
 * stands for.
 */
import type { Matched } from './match-state.ts';

/** Valid while the conditions of one record are being asked. */
export function lazyMatched(build: () => Matched): Matched {
  return new Proxy<Matched>({}, new Lazy(build));
}

class Lazy implements ProxyHandler<Matched> {
  private build: (() => Matched) | undefined;

  constructor(build: () => Matched) {
    this.build = build;
  }

  get(target: Matched, name: string | symbol): unknown {
    return Reflect.get(this.filled(target), name);
  }

  has(target: Matched, name: string | symbol): boolean {
    return Reflect.has(this.filled(target), name);
  }

  ownKeys(target: Matched): (string | symbol)[] {
    return Reflect.ownKeys(this.filled(target));
  }

  getOwnPropertyDescriptor(target: Matched, name: string | symbol): PropertyDescriptor | undefined {
    return Reflect.getOwnPropertyDescriptor(this.filled(target), name);
  }

  private filled(target: Matched): Matched {
    const { build } = this;
    if (build === undefined) return target;
    this.build = undefined;
    return Object.assign(target, build());
  }
}
