import { expect, test } from 'vitest';
import { classifyDumpLine } from './dump-log.ts';

test.each([
  [
    'baseOffset: 0 lastOffset: 1 count: 2 baseSequence: -1 partitionLeaderEpoch: 0 magic: 2 compresscodec: none crc: 1 isvalid: true',
    'batch',
  ],
  ['baseOffset: 0 lastOffset: 1 count: 2 magic: 2 crc: 1 isvalid: false', 'complaint'],
  ['| offset: 5 CreateTime: 1 keySize: -1 valueSize: 7 sequence: -1 headerKeys: []', 'record'],
  ['Non-consecutive offsets in /data/00000000000000000000.log', 'other'],
  ['  7 is followed by 12', 'gap'],
  ['Found timestamp mismatch in :/data/00000000000000000000.timeindex', 'complaint'],
  ['Mismatches in :/data/00000000000000000000.index', 'complaint'],
  ['Found 12 invalid bytes at the end of 00000000000000000000.log', 'complaint'],
  ['/data/00000000000000000000.index passed sanity check.', 'other'],
  ['Log starting offset: 0', 'other'],
])('%s is a %s', (line, expected) => {
  expect(classifyDumpLine(line)).toBe(expected);
});
