"""What is measured: times, accuracy, what each choice is worth."""
