/** The lines of pkg/host's example that a host writes: from the client that it makes to who is signed in. */
export function excerptOf(source: string): string {
  const lines = source.split('\n')
  const first = lines.findIndex((l) => l.startsWith('\tclient, err := host.New('))
  const last = lines.findIndex((l, i) => i > first && l.includes('"is signed in:"'))
  if (first < 0 || last < 0) throw new Error('pkg/host/example_test.go: is not the example that is expected')
  return lines
    .slice(first, last + 1)
    .filter((l) => !l.includes('browser(service.URL')) // what the sign-in page does
    .map((l) => l.replace(/^\t/, '').replaceAll('\t', '  '))
    .join('\n')
}

/** A line's code and its comment. */
export function parted(line: string): { code: string; comment: string } {
  const at = /(^|\s)\/\/ /.exec(line)
  return at ? { code: line.slice(0, at.index), comment: line.slice(at.index) } : { code: line, comment: '' }
}
