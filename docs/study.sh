#!/usr/bin/env bash
# The study of docs/study.md: bash docs/study.sh FOLDER [WORKERS]. Writes a .json and a figure for each task into FOLDER.
set -euo pipefail
folder=$1
workers=${2:-1}
mkdir -p "$folder"

methods=("SGD, momentum=sgd:momentum=0.9" "Adam=adam" "AdaHessian=adahessian" "L-BFGS=lbfgs")
for q in 0 3; do
    methods+=(
        "glass/$q=alice:hessian=zero,quick_steps=$q"
        "abs/$q=alice:hessian=abs,glass=false,quick_steps=$q"
        "rms/$q=alice:hessian=rms,glass=false,quick_steps=$q"
        "diagonal/$q=alice:hessian=diagonal,glass=false,quick_steps=$q"
        "glass+abs/$q=alice:hessian=abs,quick_steps=$q"
        "joint/$q=alice:hessian=abs,joint=true,quick_steps=$q"
    )
done

study() {
    glasscurv compare --data "$1" --layers "$2" --epochs "$3" --batch-size "$4" --target "$5" \
        "${methods[@]/#/--optimizer=}" --seeds 10 --tuning-seeds 3 --workers "$workers" \
        --save "$folder/$1.json" --plot "$folder/$1.png"
}

study digits 64,64,64 60 100 0.2
study spirals 32,32 250 50 0.1
study regression 32,32 300 50 0.15
