package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptPhoto FILE writes a picture the size of a passport photo.
func scriptPhoto(ts *testscript.TestScript, _ bool, args []string) {
	img := image.NewGray(image.Rect(0, 0, 480, 600))
	for i := range img.Pix {
		img.Pix[i] = color.Gray{Y: uint8(i / 480)}.Y
	}
	var b bytes.Buffer
	ts.Check(png.Encode(&b, img))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}
