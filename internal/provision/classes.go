package provision

// Classes returns the classes of errors that this package finds itself, beside
// those of failed calls.
func Classes() []string {
	return []string{
		string(classDiffers), string(classInternalIDTaken), string(classAlreadyThere), ClassUnsupported, ClassVanished, classLeftAtProvider,
	}
}
