import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { realEnv } from '../../core/real-env.ts';
import { documentsSource, type Document } from './read-documents.ts';

function folder(content: Readonly<Record<string, Uint8Array | string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-documents-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const [name, bytes] of Object.entries(content)) writeFileSync(join(directory, name), bytes);
  return directory;
}

async function read(directory: string, documentBytesMax?: number): Promise<Document[]> {
  const source = documentsSource('*', { documentBytesMax });
  const env = realEnv();
  const context = { env, directory, brokers: undefined, splitBytes: 10, spoolDirectory: directory };
  const { splits } = await source.plan(context);
  const documents: Document[] = [];
  const malformed = (error: Error): never => {
    throw error;
  };
  for (const split of splits) {
    const reader = source.open(split, { ...context, malformed });
    while (!(await reader.read((document) => documents.push(document) > 0)));
    await reader.close();
  }
  return documents;
}

test('each file is one record, in the order of the paths, whatever it is compressed with', async () => {
  const long = 'Call me Ishmael.\r\n'.repeat(100_000);
  const directory = folder({
    'b.txt': 'two\nlines\n',
    'a.txt': '\uFEFFwith a mark',
    'c.txt.gz': gzipSync(long),
    'd.txt': '',
  });
  expect(await read(directory)).toEqual([
    { path: 'a.txt', text: 'with a mark' },
    { path: 'b.txt', text: 'two\nlines\n' },
    { path: 'c.txt.gz', text: long },
    { path: 'd.txt', text: '' },
  ]);
});

test('bytes that are no UTF-8 survive', async () => {
  const [document] = await read(folder({ x: Buffer.from([0x61, 0xff, 0xc3, 0xa9]) }));
  expect(document?.text).toBe('a\uDCFF\u00E9');
});

test('a document that is too large is refused by name, also when only its content is', async () => {
  await expect(read(folder({ large: 'x'.repeat(101) }), 100)).rejects.toMatchObject({
    code: 'ML_FILE_TOO_LARGE',
    fields: { file: 'large' },
  });
  await expect(read(folder({ large: gzipSync('x'.repeat(101)) }), 100)).rejects.toMatchObject({
    code: 'ML_FILE_TOO_LARGE',
  });
  expect(await read(folder({ fits: 'x'.repeat(100) }), 100)).toHaveLength(1);
});
