#!/usr/bin/env node
// Plain JavaScript that an old Node can parse: it says which Node is needed before anything else is loaded.
var major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  process.stderr.write(
    'error: Millrace needs Node 24 or newer; this is Node ' +
      process.versions.node +
      ' (' +
      process.execPath +
      ')\n  fix: Install Node 24 or newer: https://nodejs.org/en/download\n',
  );
  process.exitCode = 2;
} else {
  void import('../dist/cli.js').then(function (cli) {
    return cli.main(process.argv.slice(2));
  });
}
