package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
)

const (
	alice = "arn:aws:iam::000000000001:user/alice"
	bob   = "arn:aws:iam::000000000001:user/bob"
)

func TestSpool(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "releases")
	spool := mustOpen(t, path)
	for i := range 5 {
		if err := spool.Add(hostproto.Release{EventID: fmt.Sprint(i)}, alice); err != nil {
			t.Fatal(err)
		}
	}
	if err := spool.Add(hostproto.Release{EventID: "1"}, alice); err != nil { // told twice
		t.Fatal(err)
	}
	spool.Sent("1")
	if diff := cmp.Diff([]string{"0", "2", "3", "4"}, unsent(spool, 10)); diff != "" {
		t.Error(diff)
	}
	spool.Close()
	if info := stat(t, path); info.Size() != spoolSlots*slotSize || info.Mode().Perm() != 0o600 {
		t.Errorf("%d bytes, %v", info.Size(), info.Mode())
	}
	// A line that was half written when the machine failed.
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	half := strings.Index(string(text), `"eventId":"4"`)
	copy(text[half:], strings.Repeat("\x00", 20))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	before := stat(t, path)
	spool = mustOpen(t, path)
	defer spool.Close()
	if diff := cmp.Diff([]string{"0", "2", "3"}, unsent(spool, 10)); diff != "" {
		t.Error(diff)
	}
	if !os.SameFile(before, stat(t, path)) {
		t.Error("a spool that is whole was written anew, for which a full disk has no room")
	}
}

// The spool of an older agent, whose file has a line for each release and nothing else, is taken over.
func TestSpoolOfAnOlderAgent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "releases")
	lines := `{"eventId":"a","requestId":"r","osUser":"u","time":"2026-01-01T00:00:00Z"}` + "\n" +
		`{"eventId":"b","requestId":"r","osUser":"u","time":"2026-01-01T00:00:01Z"}` + "\n" + `{"eventId":"c","requ`
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		spool := mustOpen(t, path)
		if diff := cmp.Diff([]string{"a", "b"}, unsent(spool, 10)); diff != "" {
			t.Error(diff)
		}
		if err := spool.Room(alice); err != nil {
			t.Error(err)
		}
		spool.Close()
	}
}

// One user's logins while the control plane was away filled the spool, and another user's key was withheld. However
// many users flood it, there must be room for the next user's login.
func TestSpoolHasRoomForOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "releases")
	spool := mustOpen(t, path)
	defer func() { spool.Close() }()
	flood := func(caller string) (added int) {
		for ; ; added++ {
			err := spool.Add(hostproto.Release{EventID: fmt.Sprint(caller, added)}, caller)
			if errors.Is(err, ErrSpoolFull) {
				return added
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, atLeast := range []int{5000, 2500, 1250} {
		if n := flood(fmt.Sprint(alice, i)); n < atLeast {
			t.Errorf("flooder %d had room for %d releases, want %d", i, n, atLeast)
		}
	}
	if err := spool.Room(alice + "0"); !errors.Is(err, ErrSpoolFull) {
		t.Errorf("who has flooded it: %v", err)
	}
	spool.Close()
	spool = mustOpen(t, path) // the shares survive
	if err := spool.Add(hostproto.Release{EventID: "one more"}, alice+"0"); !errors.Is(err, ErrSpoolFull) {
		t.Errorf("who has flooded it, after a restart: %v", err)
	}
	if err := errors.Join(spool.Room(bob), spool.Add(hostproto.Release{EventID: "bob"}, bob)); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

// inSmallFileSystem runs f on a tmpfs of size bytes that only f sees.
func inSmallFileSystem(t *testing.T, size int, f func(directory string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		prerequisite.Missing(t, "root, to mount a file system")
	}
	directory := t.TempDir()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, with its mounts, ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if errors.Is(err, unix.EINVAL) { // in a chroot / is not a mount point; others may see the mount until it is removed
			err = nil
		}
		if err == nil {
			err = unix.Mount("tmpfs", directory, "tmpfs", 0, fmt.Sprintf("size=%d", size))
		}
		if err == nil {
			f(directory)
			err = unix.Unmount(directory, unix.MNT_DETACH)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// fill fills the directory's file system, and returns the file that it wrote.
func fill(t *testing.T, directory string) (path string) {
	t.Helper()
	path = filepath.Join(directory, "full")
	file, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return path
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("filling the disk ended with %v", err)
	}
	return path
}

// The disk of a machine was full. A push succeeded, its release could not be recorded, and sshd was given no key. The
// spool has its space from the beginning.
func TestSpoolOnAFullDisk(t *testing.T) {
	inSmallFileSystem(t, 6<<20, func(directory string) {
		path := filepath.Join(directory, "releases")
		spool := mustOpen(t, path)
		fill(t, directory)
		for i := range 3000 {
			if err := errors.Join(spool.Room(alice), spool.Add(hostproto.Release{EventID: fmt.Sprint(i)}, alice)); err != nil {
				t.Errorf("release %d: %v", i, err)
				return
			}
		}
		spool.Close() // the agent starts again, on the full disk
		spool = mustOpen(t, path)
		defer spool.Close()
		if n := len(unsent(spool, 5000)); n != 3000 {
			t.Errorf("%d releases were kept", n)
		}
		spool.Sent("0")
		if err := errors.Join(spool.Room(alice), spool.Add(hostproto.Release{EventID: "one more"}, alice)); err != nil {
			t.Error(err)
		}
	})
}

// The disk was full before the spool was made, or the spool was removed. Then there is no room, and pushes are refused,
// until the disk has space. No restart is necessary.
func TestSpoolThatHasNoSpaceYet(t *testing.T) {
	inSmallFileSystem(t, 6<<20, func(directory string) {
		full := fill(t, directory)
		spool := mustOpen(t, filepath.Join(directory, "made", "releases"))
		defer spool.Close()
		if spool.Room(alice) == nil || spool.Add(hostproto.Release{EventID: "1"}, alice) == nil {
			t.Error("there was room on a full disk")
		}
		os.Remove(full)
		if err := errors.Join(spool.Room(alice), spool.Add(hostproto.Release{EventID: "2"}, alice)); err != nil {
			t.Errorf("the disk has space again: %v", err)
		}
		os.RemoveAll(filepath.Join(directory, "made"))
		fill(t, directory) // except for the removed file, which is still open
		if err := errors.Join(spool.Room(alice), spool.Add(hostproto.Release{EventID: "3"}, alice)); err != nil {
			t.Errorf("the spool was removed: %v", err)
		}
		again := mustOpen(t, filepath.Join(directory, "made", "releases"))
		defer again.Close()
		if diff := cmp.Diff([]string{"2", "3"}, unsent(again, 10)); diff != "" {
			t.Error(diff)
		}
	})
}

// Every release fits into its slot, whatever names it has.
func TestSpoolSlotsAreLongEnough(t *testing.T) {
	spool := mustOpen(t, filepath.Join(t.TempDir(), "releases"))
	defer spool.Close()
	id := strings.Repeat("f", 36)
	longest := hostproto.Release{
		EventID: id, RequestID: id, OSUser: strings.Repeat("\U0010ffff", 32),
		Time:   time.Now().In(time.FixedZone("", 14*3600)),
		Client: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	}
	if err := spool.Add(longest, strings.Repeat(alice, 100)); err != nil {
		t.Error(err)
	}
	if err := spool.Add(hostproto.Release{EventID: "2", OSUser: strings.Repeat("x", slotSize)}, alice); err == nil {
		t.Error("a release went beyond its slot")
	}
}

// Syncing the directory of a new file fails, and a crash may bring back the old one. Whichever file the path names has
// what was recorded.
func TestSpoolWhoseDirectoryCannotBeSynced(t *testing.T) {
	if os.Geteuid() != 0 {
		prerequisite.Missing(t, "root, to be a user who may not read a directory")
	}
	const nobody = 65534
	directory := t.TempDir()
	for path := directory; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	directory = filepath.Join(directory, "spool")
	if err := errors.Join(os.Mkdir(directory, 0o700), os.Chown(directory, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "releases")
	want := []string{"1"}
	asUser(t, nobody, func() {
		spool, err := OpenSpool(path)
		if err == nil {
			// unreadable, so it cannot be opened to sync it
			err = errors.Join(spool.Add(hostproto.Release{EventID: "1"}, alice), os.Chmod(directory, 0o300))
		}
		if err != nil {
			t.Error(err)
			return
		}
		defer spool.Close()
		if spool.reserve() == nil {
			t.Error("the directory was synced")
		}
		if spool.Add(hostproto.Release{EventID: "2"}, alice) == nil {
			want = append(want, "2")
		}
	})
	spool := mustOpen(t, path)
	defer spool.Close()
	if diff := cmp.Diff(want, unsent(spool, 10)); diff != "" {
		t.Error(diff)
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// Whatever is added, sent, reopened and removed, the spool holds what was added and not sent, in order.
func TestSpoolKeepsWhatWasNotSent(t *testing.T) {
	directory := t.TempDir()
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		runs++
		path := filepath.Join(directory, fmt.Sprint(runs))
		spool := mustOpen(t, path)
		defer os.Remove(path)
		defer func() { spool.Close() }()
		var want []string
		for i := range rapid.IntRange(0, 20).Draw(r, "steps") {
			switch rapid.IntRange(0, 4).Draw(r, "step") {
			case 0, 1:
				want = append(want, fmt.Sprint(i))
				if err := spool.Add(hostproto.Release{EventID: fmt.Sprint(i), Time: time.Unix(int64(i), 0)}, alice); err != nil {
					r.Fatal(err)
				}
			case 2:
				if len(want) > 0 {
					gone := rapid.SampledFrom(want).Draw(r, "sent")
					spool.Sent(gone)
					want = slices.DeleteFunc(want, func(id string) bool { return id == gone })
				}
			case 3:
				spool.Close()
				spool = mustOpen(t, path)
			case 4:
				if err := errors.Join(os.Remove(path), spool.Room(bob)); err != nil {
					r.Fatal(err)
				}
			}
			if got := unsent(spool, 1000); !slices.Equal(got, want) {
				r.Fatalf("holds %v, want %v", got, want)
			}
			if n := len(spool.free) + len(want); n != spoolSlots {
				r.Fatalf("there are %d slots", n)
			}
		}
	})
}

func mustOpen(t *testing.T, path string) *Spool {
	t.Helper()
	spool, err := OpenSpool(path)
	if err != nil {
		t.Fatal(err)
	}
	return spool
}

func unsent(s *Spool, limit int) []string {
	var ids []string
	for _, r := range s.Unsent(limit) {
		ids = append(ids, r.EventID)
	}
	return ids
}
