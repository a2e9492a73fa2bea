/** Which files stay open, and what it costs to find out. */
import { expect, test } from 'vitest';
import { type HoldsFile, OpenFiles } from './open-files.ts';

class File implements HoldsFile {
  static looks = 0;
  wasUsed = false;
  isOpen = true;
  busy: boolean;
  private readonly files: OpenFiles;

  constructor(files: OpenFiles, busy: boolean) {
    this.files = files;
    this.busy = busy;
    files.add(this);
  }

  get isBusy(): boolean {
    File.looks++;
    return this.busy;
  }

  closeFile(): void {
    this.isOpen = false;
    this.files.remove(this);
  }
}

test('those that were not used for longest are closed', () => {
  const files = new OpenFiles(3);
  const all = Array.from({ length: 6 }, (_, number) => {
    const file = new File(files, number === 1);
    file.wasUsed = false;
    return file;
  });
  expect(all.map(({ isOpen }) => isOpen)).toEqual([false, true, false, false, true, true]);
  expect(files.count).toBe(3);
});

test('files that all have to stay open are not looked through for each that comes', () => {
  const limit = 1_000;
  const files = new OpenFiles(limit);
  File.looks = 0;
  const all = Array.from({ length: 4 * limit }, () => new File(files, true));
  expect(files.count).toBe(4 * limit);
  expect(File.looks).toBeLessThan(300 * limit);
  for (const file of all) file.busy = false;
  files.trim();
  expect(files.count).toBe(limit);
  const next = new File(files, false);
  expect([files.count, next.isOpen]).toEqual([limit, true]);
});

test('a file that is idle again closes when there are too many', () => {
  const files = new OpenFiles(2);
  const all = Array.from({ length: 4 }, () => new File(files, true));
  expect(files.count).toBe(4);
  for (const file of all) {
    files.becameIdle(file);
    file.busy = false;
    files.becameIdle(file);
  }
  expect(all.map(({ isOpen }) => isOpen)).toEqual([false, false, true, true]);
});

test('files that were written leave descriptors to others: first it is said, then they are refused', () => {
  const files = new OpenFiles(100);
  let asked = 0;
  const idle = Array.from({ length: 20 }, () => new File(files, false));
  for (const file of idle) file.wasUsed = false;
  files.setBound({ max: 40, onCrowded: () => asked++ });
  // Idle ones are no crowd.
  expect([files.count, files.isCrowded, asked]).toEqual([10, false, 0]);
  const written = Array.from({ length: 29 }, () => {
    files.admit();
    return new File(files, true);
  });
  expect([files.count, files.isCrowded, asked]).toEqual([29, false, 0]);
  files.admit();
  written.push(new File(files, true));
  expect(files.isCrowded).toBe(true);
  // Nobody may ask to be admitted any more: it is said at once.
  expect(asked).toBe(1);
  while (files.count < 40) {
    files.admit();
    written.push(new File(files, true));
  }
  expect(() => files.admit()).toThrow('40 segments are open');
  for (const file of written) {
    file.busy = false;
    files.becameIdle(file);
  }
  expect([files.count, files.isCrowded]).toEqual([10, false]);
  files.admit();
});
