/**
 * Errors that are the user's business: shown as a message, without a stack, and turned into the exit code. A message says
 * what was tried, on what, and what to do next.
 */
export class UserError extends Error {
  readonly exitCode: number;

  constructor(message: string, options: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(message, options);
    this.name = "UserError";
    this.exitCode = options.exitCode ?? 1;
  }
}

/** The command was called wrongly. */
export class UsageError extends UserError {
  constructor(message: string, options: ErrorOptions = {}) {
    super(message, { ...options, exitCode: 2 });
    this.name = "UsageError";
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is not a folder",
  EACCES: "permission denied",
  ENOSPC: "the disk is full",
  EROFS: "the file system is read-only",
};

/** The reason of a failed file operation in words. */
export function fileErrorReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code && REASONS[code]) ?? message;
}
