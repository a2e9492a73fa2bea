/** The sink that makes a table: partitions by hash, each sorted by key, and a manifest that says which file is which. */
import { basename } from 'node:path';
import { MillraceError } from '../../core/errors.ts';
import { writeFully } from '../../core/files.ts';
import { TABLE_PARTITIONS_MAX } from '../../core/limits.ts';
import type { CompleteContext, Part, Sink } from '../../flow/sink.ts';
import type { TableManifest } from './table-format.ts';
import { encodeManifest, TABLE_FILE } from './table-format.ts';
import type { TablePart } from './table-writer.ts';
import { TableWriter } from './table-writer.ts';

export interface TableSinkOptions {
  /** How many files the keys are spread over, 1 to 65,536. Default: chosen by the size of the input. */
  readonly partitions?: number;
}

/** Of several records with one key, the last one in the order of the stream stays. */
export function tableSink(path: string, options: TableSinkOptions = {}): Sink<unknown, unknown> {
  const label = `table ${path}`;
  const { partitions } = options;
  if (path === '' || path === '-' || path.includes('\0'))
    throw new MillraceError('ML_FLOW_INVALID', `the sink ${label}: a table is a directory`, {
      fields: { path },
    });
  if (partitions !== undefined && !isPartitionCount(partitions))
    throw new MillraceError(
      'ML_FLOW_INVALID',
      `the sink ${label}: partitions is 1 to ${TABLE_PARTITIONS_MAX}, not ${partitions}`,
      { fields: { path } },
    );
  return {
    kind: 'sink',
    format: 'table',
    label,
    target: { kind: 'directory', path, extension: '.table' },
    arrangement: 'by-key',
    partitions,
    partBytes: undefined,
    open: (context) => new TableWriter(context),
    complete: writeTableManifest,
  };
}

async function writeTableManifest({ directory, env, parts }: CompleteContext): Promise<void> {
  const files = parts.map((part) => ({
    name: basename(part.path),
    bytes: part.bytes,
    keys: part.records,
    crc: (part.extra as TablePart).crc,
  }));
  const manifest: TableManifest = {
    keys: parts.reduce((sum, part) => sum + part.records, 0),
    partitioning: parts.every(isPartition) ? 'hash' : 'none',
    files,
  };
  const bytes = encodeManifest(manifest);
  const file = env.fs.open(`${directory}/${TABLE_FILE}`, 'publish');
  try {
    writeFully(file, bytes, 0, bytes.length, 0);
    await file.sync();
  } finally {
    file.close();
  }
}

/** Whether all keys of part `index` belong to partition `index`, of as many as there are parts. */
function isPartition(part: Part, index: number, parts: readonly Part[]): boolean {
  const { keys, modulus, residue } = part.extra as TablePart;
  const count = parts.length;
  return keys === 0 || count === 1 || (modulus % count === 0 && residue % count === index);
}

function isPartitionCount(count: number): boolean {
  return Number.isSafeInteger(count) && count >= 1 && count <= TABLE_PARTITIONS_MAX;
}
