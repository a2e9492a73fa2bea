/** House rules that a machine can check, over the sources: what is banned, and what to write instead. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

interface Ban {
  readonly pattern: RegExp;
  readonly instead: string;
  /** Folders, or files, that may. */
  readonly except: readonly string[];
}

const BANS: readonly Ban[] = [
  { pattern: /\bDate\.now\(|\bnew Date\(\)/, instead: 'env.clock.nowMs()', except: ['core/'] },
  { pattern: /\bperformance\.now\(/, instead: 'env.clock.monotonicMs()', except: ['core/'] },
  { pattern: /\bMath\.random\(/, instead: 'env.random', except: ['core/'] },
  { pattern: /\bset(?:Timeout|Interval|Immediate)\(/, instead: 'env.timers', except: ['core/'] },
  {
    pattern: /from 'node:(?:fs|fs\/promises|net|dgram|timers.*)'/,
    instead: 'env.fs, env.net, env.timers',
    except: ['core/'],
  },
  {
    pattern: /\bconsole\.(?:log|error|warn|info)\(/,
    instead: 'the logger, or the streams of cli/',
    except: [],
  },
  { pattern: /\bFIXME\b|\bTODO\b/, instead: 'finish it, or open an issue', except: [] },
  { pattern: /^\s*export default\b/, instead: 'a named export', except: [] },
  { pattern: /^\s*(?:export )?(?:const )?enum\b/, instead: 'a tagged union', except: [] },
];

const LINE_MAX = 500;

function files(): { readonly name: string; readonly lines: readonly string[] }[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ name, lines: readFileSync(join(SRC, name), 'utf8').split('\n') }));
}

test('nothing banned is used', () => {
  const found = files().flatMap(({ name, lines }) =>
    lines.flatMap((line, index) =>
      BANS.filter(
        (ban) =>
          !name.endsWith('.test.ts') &&
          ban.pattern.test(line) &&
          !ban.except.some((prefix) => name.startsWith(prefix)),
      ).map((ban) => `${name}:${index + 1}: use ${ban.instead}: ${line.trim()}`),
    ),
  );
  expect(found).toEqual([]);
});

test(`no source file is longer than ${LINE_MAX} lines`, () => {
  const long = files()
    .filter(
      ({ name, lines }) =>
        !name.endsWith('.test.ts') && !name.endsWith('.generated.ts') && lines.length > LINE_MAX,
    )
    .map(({ name, lines }) => `${name}: ${lines.length}`);
  expect(long).toEqual([]);
});

test('the scan sees the sources', () => {
  expect(files().length).toBeGreaterThan(3);
});
