package db

// Internals for the tests.
var (
	ErrClosed  = errClosed
	ErrNested  = errNested
	ErrOver    = errOver
	ErrReading = errReading
)

// Queued returns how many writes wait behind the one that SQLite runs.
func (w *Writer) Queued() int { return len(w.backend.(*sqlite).group.queue) }
