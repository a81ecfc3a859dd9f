package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	// LogSize is the size in bytes above which a log loses its older half.
	LogSize = 16 << 20
	// logInterval is how often the size is looked at.
	logInterval = 10 * time.Second
)

// BoundLogs keeps the logs of daemons from filling the disk, until ctx ends. One that is not there, or not yet, is no
// error. A daemon appends to its log without knowing of this; a line that it writes in the moment of the cut may be lost.
func BoundLogs(ctx context.Context, paths ...string) {
	ticker := time.NewTicker(logInterval)
	defer ticker.Stop()
	for {
		for _, path := range paths {
			// Without a log there is nothing to bound, and what else fails has no place to be told.
			_ = boundLog(path, LogSize)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// boundLog cuts a log that is larger than size to the newest half of that, from the beginning of a line on. The file stays
// the same one, as its daemon has it open.
func boundLog(path string, size int64) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() <= size {
		return err
	}
	newest, err := io.ReadAll(io.NewSectionReader(file, info.Size()-size/2, size/2))
	if err != nil {
		return err
	}
	if end := bytes.IndexByte(newest, '\n'); end >= 0 {
		newest = newest[end+1:]
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.Write(newest)
	return err
}
