package host

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/durable"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// The size of a spool. The file is 5 MB long from the beginning.
const (
	spoolSlots = 10_000
	slotSize   = 512 // bytes; the longest release takes about 400
)

// tellAfter is how long a release waits before the control plane is told of it. The login that it is about, which the
// machine is busy with, comes first; and sshd asks twice for one login, which then is told once.
const tellAfter = 200 * time.Millisecond

// ErrSpoolFull reports that no more releases can be recorded until the control plane has recorded some.
var ErrSpoolFull = errors.New("host: too many releases wait for the control plane")

// Spool keeps releases in a file until they are in the trail, one JSON object a line. Added releases survive the death
// of the agent. A crash of the whole machine may lose those of the last seconds. Spool is safe for concurrent use by
// one process.
//
// The file consists of slots, each a line that is padded with spaces. A release is written over a slot in place, which
// needs no space on a disk that is full by then. A file system that writes changes elsewhere (ZFS, btrfs) may need
// space nevertheless; Room finds that out.
//
// Each caller, as named by the grants, may fill as many slots as it leaves free. However many releases of some callers
// wait, there is room for those of others.
type Spool struct {
	path  string
	ready chan struct{}

	mu      sync.Mutex
	file    *os.File // nil while there is no file with all slots
	unsent  []spooled
	free    []int          // empty slots
	waiting map[string]int // unsent releases by share
}

// spooled is a release and its slot.
type spooled struct {
	hostproto.Release
	Share string `json:"share,omitempty"` // the caller whose slots it counts to; see shareOf
	slot  int
}

// OpenSpool opens the spool at the path. If the file cannot be made now, because the disk is full, every Add and Room
// tries again. OpenSpool drops lines that are not releases, such as a crash may leave.
func OpenSpool(path string) (*Spool, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s := &Spool{path: path, ready: make(chan struct{}, 1), waiting: make(map[string]int)}
	inPlace := s.read(text)
	if inPlace {
		s.file, err = os.OpenFile(path, os.O_WRONLY, 0)
	}
	if !inPlace || err != nil {
		_ = s.reserve() // Room reports it
	}
	s.signal()
	return s, nil
}

// read adds the releases in the file's text, and reports whether its lines are exactly the slots.
func (s *Spool) read(text []byte) (inPlace bool) {
	inPlace = len(text) == spoolSlots*slotSize
	lines, slot := bufio.NewScanner(bytes.NewReader(text)), 0
	lines.Buffer(nil, len(text)+1)
	for ; lines.Scan(); slot++ {
		inPlace = inPlace && len(lines.Bytes()) == slotSize-1
		release := spooled{slot: slot}
		if json.Unmarshal(lines.Bytes(), &release) != nil {
			s.free = append(s.free, slot)
			continue
		}
		s.unsent = append(s.unsent, release)
		s.waiting[release.Share]++
	}
	slices.SortStableFunc(s.unsent, func(a, b spooled) int { return a.Time.Compare(b.Time) })
	return inPlace && slot == spoolSlots
}

// Room returns an error if a release of the caller's key could not be recorded now.
func (s *Spool) Room(caller string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(shareOf(caller)); err != nil {
		return err
	}
	return s.write(s.free[len(s.free)-1], nil)
}

// Add records a release of a key that the caller pushed. It does nothing if a release with the same event id is
// recorded. After an error the release is not recorded, and the key must not be handed out.
func (s *Spool) Add(release hostproto.Release, caller string) error {
	added := spooled{Release: release, Share: shareOf(caller)}
	line, err := json.Marshal(added)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.unsent, func(r spooled) bool { return r.EventID == release.EventID }) {
		return nil
	}
	if err := s.room(added.Share); err != nil {
		return err
	}
	last := len(s.free) - 1
	added.slot = s.free[last]
	if err := s.write(added.slot, line); err != nil {
		return errors.Join(err, s.write(added.slot, nil)) // removes a half-written line
	}
	s.free = s.free[:last]
	s.unsent = append(s.unsent, added)
	s.waiting[added.Share]++
	return nil
}

// Tell implements Recorder.
func (s *Spool) Tell() { time.AfterFunc(tellAfter, s.signal) }

// Unsent implements Outbox.
func (s *Spool) Unsent(limit int) []hostproto.Release {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := make([]hostproto.Release, min(limit, len(s.unsent)))
	for i := range oldest {
		oldest[i] = s.unsent[i].Release
	}
	return oldest
}

// Sent implements Outbox. If the slot cannot be emptied, a new agent will send the release again, which is still one
// event.
func (s *Spool) Sent(eventID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsent = slices.DeleteFunc(s.unsent, func(r spooled) bool {
		if r.EventID != eventID {
			return false
		}
		if s.file != nil {
			_ = s.write(r.slot, nil)
			s.free = append(s.free, r.slot)
		}
		if s.waiting[r.Share]--; s.waiting[r.Share] == 0 {
			delete(s.waiting, r.Share)
		}
		return true
	})
	if len(s.unsent) > 0 {
		s.signal()
	}
}

// Ready implements Outbox.
func (s *Spool) Ready() <-chan struct{} { return s.ready }

// Close closes the file.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

func (s *Spool) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// room returns an error unless the share may fill one more slot. It makes the file if there is none any more. The mutex
// must be held.
func (s *Spool) room(share string) error {
	if s.file == nil || !s.isInPlace() {
		if err := s.reserve(); err != nil {
			return err
		}
	}
	if s.waiting[share] >= len(s.free) {
		return ErrSpoolFull
	}
	return nil
}

// write writes the line to the slot, or empties the slot if line is nil.
func (s *Spool) write(slot int, line []byte) error {
	if len(line) >= slotSize {
		return fmt.Errorf("a release of %d bytes does not fit into the spool", len(line))
	}
	_, err := s.file.WriteAt(padded(line), int64(slot)*slotSize)
	return err
}

func padded(line []byte) []byte {
	text := append(bytes.Repeat([]byte(" "), slotSize-1), '\n')
	copy(text, line)
	return text
}

// reserve replaces the file by one with all slots that holds exactly the unsent releases. After an error there is no
// file to write to; the file at the path may be the old one or the new one, which both hold the unsent releases. The
// mutex must be held.
func (s *Spool) reserve() error {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
	slots := max(spoolSlots, len(s.unsent))
	text := make([]byte, 0, slots*slotSize)
	for i, release := range s.unsent {
		line, err := json.Marshal(release)
		if err != nil {
			return err
		}
		s.unsent[i].slot = i
		text = append(text, padded(line)...)
	}
	text = append(text, bytes.Repeat(padded(nil), slots-len(s.unsent))...)
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return err
	}
	if err := durable.WriteFile(s.path, text, 0o600); err != nil {
		return err
	}
	file, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	s.file, s.free = file, nil
	for slot := slots - 1; slot >= len(s.unsent); slot-- {
		s.free = append(s.free, slot)
	}
	return nil
}

// isInPlace reports whether the open file is the one at the path.
func (s *Spool) isInPlace() bool {
	ours, err := s.file.Stat()
	theirs, pathErr := os.Lstat(s.path)
	return err == nil && pathErr == nil && os.SameFile(ours, theirs)
}

// shareOf returns a short name of a caller for the spool, since an ARN may be longer than a slot.
func shareOf(caller string) string {
	sum := sha256.Sum256([]byte(caller))
	return hex.EncodeToString(sum[:8])
}
