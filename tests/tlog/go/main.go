// Go's own transparency log (golang.org/x/mod/sumdb) as a second implementation.
//
//	interop check FOLDER...      checks logs that others wrote
//	interop make SIZE FOLDER     writes one
//
// A folder has the files that tests/tlog/folder.rs describes.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const origin = "log.example/books"

func text(index int64) []byte { return []byte(fmt.Sprintf("leaf %d", index)) }

// Go's paths say the height of the tiles; C2SP's are of height 8 alone and don't.
func path(tile tlog.Tile) string {
	return "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
}

type folder string

func (f folder) Height() int                      { return 8 }
func (f folder) SaveTiles([]tlog.Tile, [][]byte)  {}
func (f folder) read(name string) ([]byte, error) { return os.ReadFile(filepath.Join(string(f), name)) }
func (f folder) write(name string, data []byte) error {
	file := filepath.Join(string(f), name)
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o666)
}

func (f folder) ReadTiles(tiles []tlog.Tile) (all [][]byte, err error) {
	for _, tile := range tiles {
		data, err := f.read(path(tile))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func places(size int64) (all []int64) {
	wanted := map[int64]bool{}
	for _, at := range []int64{0, 1, 2, 254, 255, 256, 257, size / 3, size / 2, size - 1} {
		wanted[at] = true
	}
	for at := int64(0); at < size; at++ {
		if wanted[at] {
			all = append(all, at)
		}
	}
	return all
}

func line(hashes []tlog.Hash, head ...interface{}) string {
	words := strings.TrimSuffix(fmt.Sprintln(head...), "\n")
	for _, hash := range hashes {
		words += " " + hash.String()
	}
	return words + "\n"
}

// The lines of proofs as this implementation makes them, each checked by it as well.
func proofs(size int64, root tlog.Hash, hashes tlog.HashReader) (string, error) {
	lines := ""
	for _, index := range places(size) {
		record, err := tlog.ProveRecord(size, index, hashes)
		if err != nil {
			return "", err
		}
		if err := tlog.CheckRecord(record, size, root, index, tlog.RecordHash(text(index))); err != nil {
			return "", err
		}
		lines += line(record, "inclusion", size, index)
		old, err := tlog.TreeHash(index+1, hashes)
		if err != nil {
			return "", err
		}
		tree, err := tlog.ProveTree(size, index+1, hashes)
		if err != nil {
			return "", err
		}
		if err := tlog.CheckTree(tree, size, root, index+1, old); err != nil {
			return "", err
		}
		lines += line(tree, "consistency", index+1, size, old)
	}
	return lines, nil
}

func check(f folder) error {
	vkey, err := f.read("vkey")
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(string(vkey))
	if err != nil {
		return err
	}
	signed, err := f.read("checkpoint")
	if err != nil {
		return err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return err
	}
	head := strings.Split(opened.Text, "\n")
	if len(head) != 4 || head[0] != origin {
		return fmt.Errorf("checkpoint: %q", opened.Text)
	}
	size, err := strconv.ParseInt(head[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(head[2])
	if err != nil {
		return err
	}
	// Every leaf that is served is the one expected and hashes to the tile's hash.
	for first := int64(0); first < size; first += 256 {
		width := size - first
		if width > 256 {
			width = 256
		}
		tile := tlog.Tile{H: 8, L: 0, N: first / 256, W: int(width)}
		hashes, err := f.read(path(tile))
		if err != nil {
			return err
		}
		bundle, err := f.read(strings.Replace(path(tile), "tile/0/", "tile/entries/", 1))
		if err != nil {
			return err
		}
		for at := int64(0); at < width; at++ {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("the bundle of leaf %d is short", first+at)
			}
			length := int(binary.BigEndian.Uint16(bundle))
			leaf := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			hash := tlog.RecordHash(leaf)
			if !bytes.Equal(leaf, text(first+at)) || !bytes.Equal(hash[:], hashes[32*at:32*at+32]) {
				return fmt.Errorf("leaf %d is another", first+at)
			}
		}
		if len(bundle) != 0 {
			return fmt.Errorf("the bundle of leaf %d is long", first)
		}
	}
	// The reader checks every tile against the root before it believes it.
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, f)
	ours, err := proofs(size, root, reader)
	if err != nil {
		return err
	}
	theirs, err := f.read("proofs")
	if err != nil {
		return err
	}
	if ours != string(theirs) {
		return fmt.Errorf("the proofs are others than Go's")
	}
	return nil
}

func create(f folder, size int64) error {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (all []tlog.Hash, err error) {
		for _, index := range indexes {
			all = append(all, stored[index])
		}
		return all, nil
	})
	var bundle []byte
	for index := int64(0); index < size; index++ {
		hashes, err := tlog.StoredHashes(index, text(index), reader)
		if err != nil {
			return err
		}
		stored = append(stored, hashes...)
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(text(index))))
		bundle = append(bundle, text(index)...)
		if (index+1)%256 == 0 || index+1 == size {
			tile := tlog.Tile{H: 8, L: 0, N: index / 256, W: int(index%256) + 1}
			if err := f.write(strings.Replace(path(tile), "tile/0/", "tile/entries/", 1), bundle); err != nil {
				return err
			}
			bundle = nil
		}
	}
	for _, tile := range tlog.NewTiles(8, 0, size) {
		data, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			return err
		}
		if err := f.write(path(tile), data); err != nil {
			return err
		}
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		return err
	}
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return err
	}
	checkpoint := fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)
	signed, err := note.Sign(&note.Note{Text: checkpoint}, signer)
	if err != nil {
		return err
	}
	lines, err := proofs(size, root, reader)
	if err != nil {
		return err
	}
	for name, data := range map[string]string{"vkey": vkey, "checkpoint": string(signed), "proofs": lines} {
		if err := f.write(name, []byte(data)); err != nil {
			return err
		}
	}
	return nil
}

func run(args []string) error {
	if len(args) > 1 && args[0] == "check" {
		for _, name := range args[1:] {
			if err := check(folder(name)); err != nil {
				return fmt.Errorf("%s: %v", name, err)
			}
		}
		return nil
	}
	if len(args) == 3 && args[0] == "make" {
		size, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		return create(folder(args[2]), size)
	}
	return fmt.Errorf("usage: interop check FOLDER... | interop make SIZE FOLDER")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
