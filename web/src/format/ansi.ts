// Logs as plain text.

/** A line without terminal escapes and other control characters. */
export function plainLine(line: string): string {
  return (
    line
      // eslint-disable-next-line no-control-regex
      .replace(/\u001b(\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(\u0007|\u001b\\)?|[@-Z\\-_])/g, "")
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, "")
  );
}
